"""One picture of a node, drawn into a terminal's width and height."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from node.amounts import size
from node.cli.live.picture import WAVES, EncoderGlance, Picture, Progress, progress_of
from node.cli.output import printable, short_key, span, time_of_day
from node.cli.round_view import RoundDetail
from node.status import PeerStatus

SPARKS: Final = "▁▂▃▄▅▆▇█"
SHARDS_SHOWN_MAX: Final = 3
PAST_SHOWN_MAX: Final = 3
ROWS_MIN: Final = 2
TABLE_FRAME_ROWS: Final = 3
"""Title, heads and the line below them."""
SCORE_WIDTH: Final = 12
SPARK_WIDTH: Final = 16
RATES: Final = {"rpc.bytes_in": "in", "rpc.bytes_out": "out"}
_STATES: Final = {"running": "green", "silent": "yellow", "stopped": "red"}
_OUTCOMES: Final = {"certified": "green", "void": "red"}


def render(picture: Picture, width: int, height: int) -> RenderableType:
    """The picture in `height` lines: rounds, then as many encoders and peers as there is room for."""
    rounds = _shown(picture.rounds)
    head = [_node_line(picture), _slot_line(picture, width)]
    lines = [*head, *(_round_line(one, width) for one in rounds), Text()]
    foot = _foot(picture)
    left = height - len(lines) - 1
    peers = () if picture.status is None else picture.status.peers
    room = max(2 * ROWS_MIN, left - 2 * TABLE_FRAME_ROWS)
    for_peers = min(len(peers), max(ROWS_MIN, room - len(picture.encoders), room // 3))
    parts: list[RenderableType] = [*lines]
    parts.append(_encoder_table(picture.encoders, room - for_peers))
    parts.append(_peer_table(peers, for_peers, picture.at_ms))
    parts.append(foot)
    return Group(*parts)


def render_rounds(picture: Picture, width: int, height: int) -> RenderableType:
    """The node in two lines and its newest shard-rounds in the others."""
    rounds = picture.rounds[: max(1, height - 5)]
    lines = [
        _node_line(picture),
        _slot_line(picture, width),
        Text(),
        *(_round_line(one, width) for one in rounds),
    ]
    if not rounds:
        lines.append(Text("No rounds yet: an encoder keeps none, ask a validator with --url."))
    return Group(*lines, Text(), Text("q quits", style="dim"))


def bar(share: float, width: int) -> str:
    """A share of a whole as a bar of blocks."""
    filled = round(min(1.0, max(0.0, share)) * width)
    return "█" * filled + "░" * (width - filled)


def sparkline(values: Sequence[float], width: int) -> str:
    """The newest values, from 0 to 1, as one line of blocks."""
    top = len(SPARKS) - 1
    shown = values[-width:] if width else ()
    # NaN compares false: it is drawn as nothing at all.
    return "".join(SPARKS[round(min(1.0, value) * top)] if value >= 0 else " " for value in shown)


def _shown(rounds: Sequence[RoundDetail]) -> list[RoundDetail]:
    """Shards under way first, then those that ended last."""
    going = [one for one in rounds if not progress_of(one).ended][:SHARDS_SHOWN_MAX]
    ended = [one for one in rounds if progress_of(one).ended][:PAST_SHOWN_MAX]
    return going + ended


def _node_line(picture: Picture) -> Text:
    status = picture.status
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append("deltamesh ", style="bold")
    if status is None:
        return text.append("no node runs here", style="red")
    text.append(f"{printable(status.role)} {short_key(status.public_key)}  ")
    text.append(picture.state, style=_STATES.get(picture.state, ""))
    text.append(f" {_age(picture.at_ms - status.started_ms)}", style="dim")
    model = f"  {printable(status.model)}" if status.model else ""
    text.append(f"  {printable(status.phase)}{model}  version {printable(status.version)}")
    return text.append(f"  {time_of_day(picture.at_ms)} UTC", style="dim")


def _age(length_ms: int) -> str:
    """A length of time in its largest unit."""
    return " ".join(span(length_ms).split(" ")[:2])


def _slot_line(picture: Picture, width: int) -> Text:
    status = picture.status
    text = Text(no_wrap=True, overflow="ellipsis")
    if status is None:
        return text
    number = "before genesis" if status.round < 0 else f"slot {status.round}"
    certified = "none yet" if status.last_certified_round is None else f"{status.last_certified_round}"
    text.append(f"{number} ")
    text.append(bar(picture.slot_share, max(8, width // 5)), style="cyan")
    text.append(f" of {picture.slot_ms / 1_000:g} s   last certified {certified}")
    return text.append(f"   peers {len(status.peers)}")


def _round_line(detail: RoundDetail, width: int) -> Text:
    summary, progress = detail.summary, progress_of(detail)
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{summary.round}/{summary.shard}".ljust(9), style="bold")
    text.append(f"by {short_key(summary.dealer):<9}")
    colour = _OUTCOMES.get(progress.ended, "yellow")
    text.append(bar(progress.share, max(7, width // 10)) + " ", style=colour)
    _steps(text, progress)
    if progress.ended == "certified":
        voters = summary.attestations
        text.append(f" certified by {voters} validator{'' if voters == 1 else 's'}", style=colour)
    elif progress.ended:
        text.append(f" void: {printable(progress.reason) or 'no certificate'}", style=colour)
    elif progress.reported:
        text.append(" reported" + (", attested" if progress.attested else ""))
    return text


def _steps(text: Text, progress: Progress) -> None:
    if not progress.dealt:
        text.append("waits for the dealer" if not progress.ended else "")
        return
    for wave in WAVES:
        count = progress.waves.get(wave)
        text.append(f"w{wave} ", style="dim")
        text.append("·/· " if count is None else f"{count[0]}/{count[1]} ", style=_full(count))
    text.append("rev ", style="dim")
    count = progress.revealed
    text.append("·/·" if count is None else f"{count[0]}/{count[1]}", style=_full(count))


def _full(count: tuple[int, int] | None) -> str:
    return "dim" if count is None else "green" if count[0] == count[1] else "red"


def _encoder_table(encoders: Sequence[EncoderGlance], rows: int) -> Table:
    hidden = len(encoders) - rows
    title = f"encoders by score{f', {hidden} more not shown' if hidden > 0 else ''}"
    table = _table(title, {"key": "left", "score": "left", "": "right", "weight": "left", "history": "left"})
    heaviest = max((one.weight for one in encoders), default=0.0) or 1.0
    for one in encoders[: max(0, rows)]:
        table.add_row(
            short_key(one.key),
            Text(bar(one.score, SCORE_WIDTH), style="green"),
            f"{one.score:.3f}",
            Text(f"{bar(one.weight / heaviest, SCORE_WIDTH)} {one.weight:.3f}", style="cyan"),
            Text(sparkline(one.history, SPARK_WIDTH)),
        )
    if not encoders:
        table.add_row("-", "none is scored yet", "", "", "")
    return table


def _peer_table(peers: Sequence[PeerStatus], rows: int, at_ms: int) -> Table:
    hidden = len(peers) - rows
    title = f"peers{f', {hidden} more not shown' if hidden > 0 else ''}"
    heads = {"key": "left", "role": "left", "dir": "left", "round trip": "right", "for": "right"}
    table = _table(title, heads | {"penalty": "right", "address": "left"})
    for peer in sorted(peers, key=lambda one: (one.role != "validator", one.public_key))[: max(0, rows)]:
        trip = peer.round_trip_ms
        table.add_row(
            short_key(printable(peer.public_key)),
            printable(peer.role),
            "out" if peer.outbound else "in",
            "-" if trip is None else f"{trip:.1f} ms",
            _age(at_ms - peer.since_ms),
            f"{peer.penalty:.0f}",
            printable(peer.address),
        )
    if not peers:
        table.add_row("-", "none", "", "", "", "", "")
    return table


def _table(title: str, columns: dict[str, str]) -> Table:
    table = Table(
        title=Text(title, style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        expand=False,
        show_edge=False,
    )
    for name, justify in columns.items():
        table.add_column(
            name, justify="right" if justify == "right" else "left", no_wrap=True, overflow="ellipsis"
        )
    return table


def _foot(picture: Picture) -> Text:
    told = picture.resources
    text = Text(no_wrap=True, overflow="ellipsis", style="dim")
    text.append(f"memory {size(told.memory_bytes)}  store {size(told.store_bytes)}")
    text.append(f"  disk free {size(told.disk_free_bytes)}")
    text.append(f"  queue {'-' if told.queue_items is None else told.queue_items}")
    for name, word in RATES.items():
        text.append(f"  {word} {size(picture.rates.get(name))}/s")
    return text.append("  q quits")
