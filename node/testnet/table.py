"""The live picture of a local network in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from node.store import RoundState
from node.testnet.plan import TestnetPlan
from node.testnet.watch import RoundView

ROUNDS_SHOWN = 8
_WAVES = (1, 2, 3)


def render(
    plan: TestnetPlan, current: RoundView | None, past: Sequence[RoundView], headline: str
) -> RenderableType:
    """The whole picture: what happens now, the encoders, the last rounds."""
    parts: list[RenderableType] = [Text(headline, style="bold")]
    if current is not None or past:
        parts.append(encoder_table(plan, current, past))
    if past:
        parts.append(round_table(plan, past))
    return Group(*parts)


def encoder_table(plan: TestnetPlan, current: RoundView | None, past: Sequence[RoundView]) -> Table:
    """A row an encoder: what it did in the running round, its scores and weight."""
    title = "encoders" if current is None else f"encoders, round {name_of(plan, current)}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("key", "runs", "waves", "score", "mean score", "weight"):
        table.add_column(name, justify="right" if "score" in name or name == "weight" else "left")
    last = {each.encoder: each for view in past for each in view.scores}
    history: dict[bytes, list[float]] = {}
    for view in past:
        for each in view.scores:
            history.setdefault(each.encoder, []).append(each.score)
    for node in plan.encoders:
        key = node.public_key
        score, scores = last.get(key), history.get(key)
        runs = Text(node.model or "") if node.cheat is None else Text(f"cheats: {node.cheat}", style="red")
        table.add_row(
            key.hex()[:8],
            runs,
            waves_of(current, key) if current is not None else Text(""),
            "-" if score is None else f"{score.score:.3f}",
            "-" if scores is None else f"{sum(scores) / len(scores):.3f}",
            "-" if score is None else f"{score.weight:.3f}",
        )
    return table


def waves_of(view: RoundView, key: bytes) -> Text:
    """Which waves an encoder has answered, and whether it has revealed."""
    text = Text()
    for wave in _WAVES:
        answered = view.committed.get(wave)
        if answered is None:
            text.append("· ", style="dim")
        elif key in answered:
            text.append(f"{wave} ", style="green")
        else:
            text.append("late " if key in view.late else "- ", style="red")
    if key in view.revealed:
        text.append("revealed", style="green")
    return text


def round_table(plan: TestnetPlan, past: Sequence[RoundView]) -> Table:
    """The last rounds with their latencies."""
    table = Table(title="rounds", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("round", "dealer", "wave 1", "wave 2", "wave 3", "reveals", "scoring", "certified", "stake"):
        table.add_column(name, justify="left" if name == "dealer" else "right")
    for view in past[-ROUNDS_SHOWN:]:
        waves = [_seconds(view.wave_ms.get(wave)) for wave in _WAVES]
        table.add_row(
            name_of(plan, view),
            view.dealer.hex()[:8],
            *waves,
            _seconds(view.reveal_ms),
            _seconds(view.score_ms),
            Text(outcome(view)),
            f"{stake_share(plan, view):.0%}" if view.attesting else "-",
        )
    return table


def outcome(view: RoundView) -> str:
    """Time to the certificate, or what became of the round instead."""
    if view.state is RoundState.CERTIFIED:
        return _seconds(view.certified_ms)
    return f"void: {view.reason}" if view.state is RoundState.VOID and view.reason else view.state.value


def stake_share(plan: TestnetPlan, view: RoundView) -> float:
    """Share of all bonded stake behind a certificate."""
    known = plan.genesis.validators
    stake = sum(known[key].stake for key in view.attesting if key in known)
    return stake / plan.genesis.total_stake


def line(plan: TestnetPlan, view: RoundView) -> str:
    """One round in one line, where there is no terminal to draw on."""
    waves = ", ".join(f"wave {wave} {_seconds(ms)}" for wave, ms in sorted(view.wave_ms.items()))
    if view.state is not RoundState.CERTIFIED:
        return f"round {name_of(plan, view)}: {outcome(view)}"
    return (
        f"round {name_of(plan, view)}: certified by {stake_share(plan, view):.0%} of the stake after "
        f"{_seconds(view.certified_ms)}; {view.items} items, {len(view.revealed)} encoders; {waves}"
    )


def name_of(plan: TestnetPlan, view: RoundView) -> str:
    """The number of a round, with its shard where a round has several."""
    several = plan.genesis.parameters.shards_per_round > 1
    return f"{view.round}/{view.shard}" if several else f"{view.round}"


def _seconds(length_ms: int | None) -> str:
    return "-" if length_ms is None else f"{length_ms / 1000:.2f} s"
