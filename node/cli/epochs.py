"""`deltamesh epochs`: the records the validators agreed on, and what they say of each encoder."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.errors import CommandError, ExitCode
from node.cli.options import HomeOption, JsonOption, NetworkOption, is_for_subcommand
from node.cli.output import note, number, print_facts, print_json, print_table, say, short_key
from node.cli.sources import TokenOption, UrlOption, opened_source

if TYPE_CHECKING:
    from protocol.epochs.record import EncoderState
    from protocol.epochs.view import Epoch

app = typer.Typer(invoke_without_command=True)

EPOCHS_SHOWN = 10
EPOCHS_SHOWN_MAX = 10_000
PPM = 1_000_000
WEIGHT_COLUMNS = ("epoch", "encoder", "weight_ppm", "share", "reputation_ppm", "stake", "on_probation")

EpochArgument = Annotated[int, typer.Argument(metavar="EPOCH", help="The number of the epoch.", min=0)]
LastOption = Annotated[
    int, typer.Option("--last", metavar="N", help="How many epochs.", min=1, max=EPOCHS_SHOWN_MAX)
]


@app.callback()
def epochs(
    ctx: typer.Context,
    last: LastOption = EPOCHS_SHOWN,
    home: HomeOption = None,
    network: NetworkOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
    json_: JsonOption = False,
) -> None:
    """List the newest epochs this validator knows; `show` one, or export the `weights` paid out on."""
    if is_for_subcommand(ctx):
        return
    with opened_source(home, network, url, token) as source:
        found = source.epochs(last)
    if json_:
        print_json([_summary(epoch) for epoch in found])
        return
    rows = []
    for epoch in reversed(found):
        first = epoch.number * epoch.parameters.epoch_rounds
        said = _summary(epoch)
        encoders, new = said["encoders"], said["on_probation"]
        rows.append(
            [
                f"{epoch.number}",
                f"{first}-{first + epoch.parameters.epoch_rounds - 1}",
                f"{len(epoch.validators)}",
                f"{epoch.total_stake}",
                "-" if encoders is None else f"{encoders}",
                "-" if new is None else f"{new}",
                f"{len(epoch.record.evidence)}",
                epoch.digest.hex()[:16],
            ]
        )
    columns = ["epoch", "rounds", "validators", "stake", "encoders", "on probation", "evidence", "record"]
    print_table("Newest epochs", columns, rows, right=frozenset(columns[:-1]))


@app.command("show")
def show(
    number_: EpochArgument,
    home: HomeOption = None,
    network: NetworkOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
    json_: JsonOption = False,
) -> None:
    """Print one epoch's record: its members, their stakes, reputations and weights."""
    with opened_source(home, network, url, token) as source:
        epoch = source.epoch(number_)
    if json_:
        print_json(
            _summary(epoch)
            | {
                "members": [
                    {
                        "validator": state.public_key,
                        "stake": state.stake,
                        "joined": state.public_key in epoch.joined,
                    }
                    for state in epoch.record.validators
                ],
                "transfers": [
                    {"giver": held.giver, "to": held.to, "amount": held.amount}
                    for held in epoch.record.transfers
                ],
                "encoders_state": [_encoder(epoch, state) for state in epoch.table.encoders],
            }
        )
        return
    print_facts(
        {
            "epoch": f"{epoch.number}",
            "record": epoch.digest.hex(),
            "seed": epoch.seed.hex(),
            "evidence applied": f"{len(epoch.record.evidence)}",
            "encoders' means": _named(epoch.record.means),
            "consensus moments": _named(epoch.record.moments),
        }
    )
    rows = [
        [
            short_key(state.public_key),
            f"{state.stake}" if state.stake else "convicted",
            "later" if state.public_key in epoch.joined else "genesis",
        ]
        for state in epoch.record.validators
    ]
    print_table("Validators", ["validator", "stake", "since"], rows, right=frozenset({"stake"}))
    if epoch.record.transfers:
        rows = [
            [short_key(held.giver), short_key(held.to), f"{held.amount}"] for held in epoch.record.transfers
        ]
        print_table("Stake on its way", ["from", "to", "stake"], rows, right=frozenset({"stake"}))
    columns = ["encoder", "stake", "reputation", "weight", "probation", "silent epochs"]
    rows = [
        [
            short_key(state.public_key),
            f"{state.stake}" if state.stake else "convicted",
            number(state.reputation_ppm / PPM),
            number(state.weight_ppm / PPM),
            _probation(epoch, state),
            f"{state.silent_epochs}",
        ]
        for state in epoch.table.encoders
    ]
    print_table("Encoders", columns, rows, right=frozenset(columns[1:]))


@app.command("weights")
def weights(
    number_: EpochArgument,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FILE.csv", help="Where to write it. [default: standard output]"),
    ] = None,
    home: HomeOption = None,
    network: NetworkOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
    json_: JsonOption = False,
) -> None:
    """Export, per encoder, the sum of its weights over the rounds an epoch's record was made from, as CSV.

    These are certified integers: what an operator would pay out on. `share` is an encoder's part of the sum.
    """
    with opened_source(home, network, url, token) as source:
        epoch = source.epoch(number_)
    rows = list(_weight_rows(epoch))
    if json_:
        print_json([dict(zip(WEIGHT_COLUMNS, row, strict=True)) for row in rows])
        return
    if to is None:
        _write_csv(sys.stdout, rows)
        return
    if to.exists():
        raise CommandError(f"{to} exists already: name another file", ExitCode.BAD_INPUT)
    try:
        with to.open("x", encoding="utf-8", newline="") as file:
            _write_csv(file, rows)
    except OSError as error:
        raise CommandError(f"cannot write {to}: {error.strerror or error}", ExitCode.STORAGE) from None
    say(f"{to}")
    note(f"Wrote the weights of {len(rows)} encoders in epoch {epoch.number}.")


def _named(digest: bytes) -> str:
    return digest.hex() if any(digest) else "none yet"


def _write_csv(file: object, rows: Iterable[tuple[object, ...]]) -> None:
    writer = csv.writer(file)  # type: ignore[arg-type]
    writer.writerow(WEIGHT_COLUMNS)
    writer.writerows(rows)


def _weight_rows(epoch: Epoch) -> Iterable[tuple[object, ...]]:
    total_ppm = sum(state.weight_ppm for state in epoch.table.encoders)
    for state in epoch.table.encoders:
        share = state.weight_ppm / total_ppm if total_ppm else 0.0
        yield (
            epoch.number,
            state.public_key.hex(),
            state.weight_ppm,
            f"{share:.6f}",
            state.reputation_ppm,
            state.stake,
            int(_on_probation(epoch, state)),
        )


def _summary(epoch: Epoch) -> dict[str, object]:
    """`encoders` and `on_probation` are None where they are kept no longer."""
    from node.epochs.history import lacks_encoders

    here = not lacks_encoders(epoch)
    return {
        "epoch": epoch.number,
        "record": epoch.digest,
        "previous": epoch.record.previous,
        "seed": epoch.seed,
        "validators": len(epoch.validators),
        "stake": epoch.total_stake,
        "encoders": len(epoch.encoders) if here else None,
        "on_probation": sum(map(epoch.is_on_probation, epoch.encoders)) if here else None,
        "evidence": list(epoch.record.evidence),
        "means": epoch.record.means if any(epoch.record.means) else None,
        "moments": epoch.record.moments if any(epoch.record.moments) else None,
    }


def _encoder(epoch: Epoch, state: EncoderState) -> dict[str, object]:
    return {
        "encoder": state.public_key,
        "stake": state.stake,
        "reputation_ppm": state.reputation_ppm,
        "weight_ppm": state.weight_ppm,
        "shards_judged": state.shards_judged,
        "silent_epochs": state.silent_epochs,
        "bent_millinats": state.bending.bent,
        "leaning_millinats": state.bending.leaning,
        "exposures": state.exposures,
        "on_probation": _on_probation(epoch, state),
    }


def _on_probation(epoch: Epoch, state: EncoderState) -> bool:
    return bool(state.stake) and epoch.is_on_probation(state.public_key)


def _probation(epoch: Epoch, state: EncoderState) -> str:
    from protocol.epochs.probation import shards_needed

    return (
        f"{state.shards_judged} of {shards_needed(epoch.parameters, state.exposures)}"
        if _on_probation(epoch, state)
        else "-"
    )
