"""`deltamesh rounds`: what became of the rounds this node knows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli import rounds_watch
from node.cli.options import HomeOption, JsonOption, NetworkOption, is_for_subcommand
from node.cli.output import counted, moment, note, print_json, print_table, say, short_key
from node.cli.sources import TokenOption, UrlOption, opened_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from node.cli.dispute_view import DisputeDetail
    from protocol.genesis import Genesis

app = typer.Typer(invoke_without_command=True)

ROUNDS_SHOWN = 20
ROUNDS_SHOWN_MAX = 100_000

_EMPTY = "No rounds yet: they appear once `deltamesh run validator` has taken part in one."

RoundArgument = Annotated[int, typer.Argument(metavar="ROUND", help="The number of the round.", min=0)]
LastOption = Annotated[
    int, typer.Option("--last", metavar="N", help="How many rounds.", min=1, max=ROUNDS_SHOWN_MAX)
]


@app.callback()
def rounds(
    ctx: typer.Context,
    last: LastOption = ROUNDS_SHOWN,
    home: HomeOption = None,
    network: NetworkOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
    json_: JsonOption = False,
) -> None:
    """List the newest rounds this node knows; `show` or `export` one of them."""
    if is_for_subcommand(ctx):
        return
    with opened_source(home, network, url, token) as source:
        found = source.rounds(last)
    if json_:
        print_json([one.document() for one in found])
    elif not found:
        say(_EMPTY)
    else:
        rows = [
            [
                f"{one.round}",
                f"{one.shard}",
                one.state,
                short_key(one.dealer),
                counted(one.attestations, "validator") if one.attestations else "-",
                moment(one.updated_ms),
            ]
            for one in found
        ]
        columns = ["round", "shard", "state", "dealer", "attested by", "last change"]
        print_table("Newest rounds", columns, rows, right=frozenset({"round", "shard"}))


@app.command("show")
def show(
    round_: RoundArgument,
    disputes: Annotated[
        bool,
        typer.Option(
            "--disputes",
            help="Only who disputes its report: which term, whose, by how much.",
            show_default=False,
        ),
    ] = False,
    home: HomeOption = None,
    network: NetworkOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
    json_: JsonOption = False,
) -> None:
    """Print all of one round: steps, who answered, scores, who attested, disputes."""
    from node.cli.round_view import print_round

    with opened_source(home, network, url, token) as source:
        genesis = source.genesis()
        if disputes:
            _show_disputes(source.disputes(round_), genesis, json_)
            return
        details = source.round(round_)
    if json_:
        print_json([one.document() for one in details])
    else:
        for one in details:
            print_round(one, genesis)


app.command("watch")(rounds_watch.watch)


@app.command("export")
def export(
    round_: RoundArgument,
    to: Annotated[Path, typer.Option("--to", metavar="FILE.dmr", help="Where to write the report.")],
    shard: Annotated[int, typer.Option("--shard", help="Which shard of the round.", min=0)] = 0,
    home: HomeOption = None,
    network: NetworkOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Write one certified report with all that `deltamesh verify` needs, as one file."""
    with opened_source(home, network, url, token) as source:
        genesis = source.genesis()
        size_bytes = source.export(round_, shard, to)
    say(f"{to}")
    note(
        f"Wrote {size_bytes / 1e6:,.1f} MB. Anyone can check it: "
        f"deltamesh verify {to} --network-id {genesis.network_id.hex()}"
    )


def _show_disputes(found: Sequence[DisputeDetail], genesis: Genesis, json_: bool) -> None:
    from node.cli.dispute_view import print_disputes

    if json_:
        print_json([one.document() for one in found])
        return
    for shard in sorted({one.shard for one in found}):
        say(f"round {found[0].round}, shard {shard}")
        print_disputes([one for one in found if one.shard == shard], genesis)
    if not found:
        print_disputes([], genesis)
