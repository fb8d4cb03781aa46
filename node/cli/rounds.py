"""`deltamesh rounds`: what became of the rounds this node knows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.errors import CommandError, ExitCode
from node.cli.options import (
    HomeOption,
    JsonOption,
    NetworkOption,
    existing_directory,
    genesis_of,
    is_for_subcommand,
    reading_store,
    settings_of,
)
from node.cli.output import counted, moment, note, print_json, print_table, progress, say, short_key

if TYPE_CHECKING:
    from config.datadir import DataDir
    from node.store import RoundRecord, Store
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
    json_: JsonOption = False,
) -> None:
    """List the newest rounds this node knows; `show` or `export` one of them."""
    if is_for_subcommand(ctx):
        return
    from node.cli.round_view import certificate_of, summary

    directory = existing_directory(settings_of(home, network))
    with reading_store(directory) as store:
        records = [] if store is None else store.rounds(last)
    if json_:
        print_json([summary(record) for record in records])
    elif not records:
        say(_EMPTY)
    else:
        rows = []
        for record in records:
            certificate = certificate_of(record)
            rows.append(
                [
                    f"{record.round}",
                    f"{record.shard}",
                    record.state.value,
                    short_key(record.dealer),
                    counted(len(certificate.attestations), "validator") if certificate else "-",
                    moment(record.updated_ms),
                ]
            )
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
    json_: JsonOption = False,
) -> None:
    """Print all of one round: steps, who answered, scores, who attested, disputes."""
    from node.cli.round_view import detail, print_round

    directory = existing_directory(settings_of(home, network))
    genesis = genesis_of(directory)
    if disputes:
        _show_disputes(directory, genesis, round_, json_)
        return
    with reading_store(directory) as store:
        shards = _shards(store, round_)
        assert store is not None
        details = [detail(store, genesis, record) for record in shards]
    if json_:
        print_json([one.document() for one in details])
    else:
        for one in details:
            print_round(one, genesis)


@app.command("export")
def export(
    round_: RoundArgument,
    to: Annotated[Path, typer.Option("--to", metavar="FILE.dmr", help="Where to write the report.")],
    shard: Annotated[int, typer.Option("--shard", help="Which shard of the round.", min=0)] = 0,
    home: HomeOption = None,
    network: NetworkOption = None,
) -> None:
    """Write one certified report with all that `deltamesh verify` needs, as one file."""
    from node.bundle import make_bundle, write_bundle
    from node.cli.round_view import certificate_of, header_of
    from node.epochs.history import chain_to

    directory = existing_directory(settings_of(home, network))
    genesis = genesis_of(directory)
    with reading_store(directory) as store:
        record = next((one for one in _shards(store, round_) if one.shard == shard), None)
        assert store is not None
        if record is None:
            raise CommandError(
                f"round {round_} has no shard {shard} here: see `rounds show`", ExitCode.BAD_INPUT
            )
        header, certificate = header_of(record, genesis), certificate_of(record)
        if header is None or certificate is None:
            raise CommandError(
                f"round {round_} shard {shard} is {record.state.value}, and only certified ones are "
                "exported: "
                "`deltamesh rounds` lists them",
                ExitCode.NODE_STATE,
            )
        body = store.blobs.get(header.body.body)
        if body is None:
            raise CommandError(
                f"the body of round {round_}'s report is not held here: export it from another validator",
                ExitCode.STORAGE,
            )
        epochs, encoders, means = chain_to(store, record.epoch)
        bundle = make_bundle(genesis, epochs, encoders, means, header, body, certificate, store.blobs.get)
    total = sum(map(len, (bundle.body, *bundle.answers))) >> 20
    with progress("writing", total) as bar:
        done = 0

        def on_progress(written: int, _: int) -> None:
            nonlocal done
            bar.step((written >> 20) - done)
            done = written >> 20

        size_bytes = write_bundle(to, bundle, on_progress)
    say(f"{to}")
    note(
        f"Wrote {size_bytes / 1e6:,.1f} MB. Anyone can check it: "
        f"deltamesh verify {to} --network-id {genesis.network_id.hex()}"
    )


def _show_disputes(directory: DataDir, genesis: Genesis, round_: int, json_: bool) -> None:
    """Disputes may be here before anything else of their round."""
    from node.cli.dispute_view import disputes_of, print_disputes

    with reading_store(directory) as store:
        found = [] if store is None else disputes_of(store, genesis, round_)
        if not found:
            _shards(store, round_)
    if json_:
        print_json([one.document() for one in found])
        return
    for shard in sorted({one.shard for one in found}):
        say(f"round {round_}, shard {shard}")
        print_disputes([one for one in found if one.shard == shard], genesis)
    if not found:
        print_disputes([], genesis)


def _shards(store: Store | None, round_: int) -> list[RoundRecord]:
    """The shards of one round. Raises CommandError when this node knows none."""
    found = (
        [] if store is None else [one for one in store.rounds(1, before=round_ + 1) if one.round == round_]
    )
    if not found:
        raise CommandError(
            f"this node knows nothing of round {round_}: `deltamesh rounds` lists what it knows",
            ExitCode.BAD_INPUT,
        )
    return found
