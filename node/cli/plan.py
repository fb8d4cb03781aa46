"""`deltamesh plan shard`: how large a shard must be, and how many of it must answer."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.errors import CommandError, ExitCode
from node.cli.options import JsonOption
from node.cli.output import note, print_facts, print_json, print_table, say

if TYPE_CHECKING:
    from protocol.planning import Budget, Population, ShardPlan

app = typer.Typer(no_args_is_help=True, help="Choose the parameters of a network by their risks.")

_BYZANTINE = "1/5"
_OFFLINE = "0"


@app.callback()
def _plan() -> None:
    """Keeps `shard` a command of its own while it is the only one."""


@app.command("shard")
def shard(
    nodes: Annotated[
        int | None, typer.Option("--nodes", metavar="N", help="Encoders the shard is drawn from.")
    ] = None,
    byzantine: Annotated[
        str, typer.Option("--byzantine", metavar="SHARE", help="How many of them are bad: 0.2, 20% or 1/3.")
    ] = _BYZANTINE,
    offline: Annotated[
        str, typer.Option("--offline", metavar="SHARE", help="How many honest ones do not answer.")
    ] = _OFFLINE,
    budget: Annotated[
        str, typer.Option("--budget", metavar="CHANCE", help="Of a bad majority in a shard: stay under it.")
    ] = "1e-9",
    stall_budget: Annotated[
        str, typer.Option("--stall-budget", metavar="CHANCE", help="Of too few answers: stay under it.")
    ] = "1%",
    quorum: Annotated[
        str | None,
        typer.Option("--quorum", metavar="SHARE", help="Part of a shard that must answer. [default: derived]"),
    ] = None,
    size: Annotated[
        int | None, typer.Option("--size", metavar="N", help="Also say what a shard of this size buys.")
    ] = None,
    genesis: Annotated[
        Path | None, typer.Option("--genesis", metavar="FILE", help="Encoders and stakes of this network.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="Draw both chances by size as SVG here.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Derive the shard size and quorum that keep a security and a liveness budget.

    A shard is taken over when more than half of those who answer are bad: bad ones answer, those offline do
    not. It stalls when fewer than the quorum answer: now the bad are silent too. Shares are rounded down to
    nodes, the figures are exact.
    """
    from protocol.planning import Budget, Population, plan_shard

    limits = Budget(_share("--budget", budget), _share("--stall-budget", stall_budget))
    wanted = None if quorum is None else _share("--quorum", quorum)
    population = Population.of_shares(
        nodes or 0, _share("--byzantine", byzantine), _share("--offline", offline)
    )
    plan = plan_shard(population, limits, wanted)
    print_json({"size": plan.size, "quorum": plan.quorum})


def _share(option: str, text: str) -> Fraction:
    """A share or chance as people write it: `0.2`, `20%`, `1/3`, `1e-9`. Raises CommandError."""
    number, percent = (text[:-1], 100) if text.endswith("%") else (text, 1)
    try:
        if len(text) > 40:
            raise ValueError
        return Fraction(number.strip()) / percent
    except (ValueError, ZeroDivisionError):
        raise CommandError(
            f"{option} '{text[:40]}' is no number: write it as 0.2, 20%, 1/3 or 1e-9", ExitCode.USAGE
        ) from None
