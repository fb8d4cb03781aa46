"""`deltamesh plan shard`: how large a shard must be, and how many of it must answer."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.errors import CommandError, ExitCode
from node.cli.options import JsonOption
from node.cli.output import counted, note, print_facts, print_json, print_table, say

if TYPE_CHECKING:
    from node.planning.choice import Choice, Line, Question

app = typer.Typer(no_args_is_help=True, help="Choose the parameters of a network by their risks.")

_NUMBER = r"(?:\d{1,18}|\d{0,18}\.\d{1,18})(?:[eE]-?\d{1,2})?"
_COLUMNS = ("shard", "size", "quorum", "takeover", "or tie", "stall", "lying dealer", "budgets")


@app.callback()
def _plan() -> None:
    """Keeps `shard` a command of its own while it is the only one."""


@app.command("shard")
def shard(
    nodes: Annotated[
        int | None, typer.Option("--nodes", metavar="N", help="How many encoders there are.")
    ] = None,
    byzantine: Annotated[
        str, typer.Option("--byzantine", metavar="SHARE", help="Part of them that is bad: 0.2, 20% or 1/3.")
    ] = "0.2",
    offline: Annotated[
        str, typer.Option("--offline", metavar="SHARE", help="Part that is honest and does not answer.")
    ] = "0",
    budget: Annotated[
        str, typer.Option("--budget", metavar="CHANCE", help="A takeover of one shard is less likely.")
    ] = "1e-9",
    stall_budget: Annotated[
        str, typer.Option("--stall-budget", metavar="CHANCE", help="A stall of one shard is less likely.")
    ] = "1%",
    stakes: Annotated[
        Path | None, typer.Option("--stakes", metavar="FILE", help="A `key,stake` or a stake on each line.")
    ] = None,
    genesis: Annotated[
        Path | None,
        typer.Option("--genesis", metavar="FILE", help="Take encoders and stakes from this genesis file."),
    ] = None,
    quorum: Annotated[
        str | None,
        typer.Option(
            "--quorum", metavar="SHARE", help="Part of a shard that must answer. [default: derived]"
        ),
    ] = None,
    size: Annotated[
        int | None, typer.Option("--size", metavar="N", min=1, help="Also say what a shard of N buys.")
    ] = None,
    draws: Annotated[
        int, typer.Option("--draws", metavar="N", help="Shards drawn for each estimate where stakes differ.")
    ] = 2_000,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of these draws.")] = 0,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="Draw both chances by size as SVG here.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Derive shard size and quorum from a security and a liveness budget.

    A takeover: more than half of those who answer are bad; bad ones all answer then. A stall: fewer than the
    quorum answer; bad ones are all silent then. Where stakes are equal the chances are exact. Where they
    differ, shares are of stake, the bad hold the smallest nodes, and shards are drawn by the network's
    own rule; the bounds are 3.09 standard errors above, and too low now and then where some are offline.
    """
    if picture is not None and not picture.absolute().parent.is_dir():
        raise CommandError(
            f"the folder of {picture} does not exist: create it, or name another file", ExitCode.BAD_INPUT
        )
    from node.planning.choice import Question, choose
    from protocol.planning import Budget

    count, found, others = _members(nodes, stakes, genesis)
    if size is not None:
        others = (*others, (f"--size {size}", size, None))
    question = Question(
        nodes=count,
        stakes=found,
        byzantine=_share("--byzantine", byzantine),
        offline=_share("--offline", offline),
        budget=Budget(_share("--budget", budget), _share("--stall-budget", stall_budget)),
        quorum_share=None if quorum is None else _share("--quorum", quorum),
        others=others,
        draws=draws,
        seed=seed,
    )
    choice = choose(question, _tell_progress)
    if json_:
        print_json(_document(question, choice))
    else:
        _print(question, choice)
    if picture is not None:
        from node.planning.curves import picture_of

        picture.write_text(picture_of(question, choice), encoding="utf-8")
        note(f"the picture is in {picture}")


def _members(
    nodes: int | None, stakes: Path | None, genesis: Path | None
) -> tuple[int, tuple[int, ...] | None, tuple[tuple[str, int, int | None], ...]]:
    """How many encoders, their stakes if told, and the shard a genesis has. Raises CommandError."""
    if sum(value is not None for value in (nodes, stakes, genesis)) != 1:
        raise CommandError(
            "say in one way which encoders there are: --nodes N, --stakes FILE or --genesis FILE",
            ExitCode.USAGE,
        )
    if genesis is not None:
        from config.genesis import load_genesis

        loaded = load_genesis(genesis)
        parameters = loaded.parameters
        own = ("this genesis", min(parameters.shard_size, len(loaded.encoders)), parameters.encoders_min)
        held = tuple(member.stake for member in loaded.encoders.values())
        return len(held), held, (own,)
    if stakes is not None:
        from node.planning.stakes_file import read_stakes

        held = read_stakes(stakes)
        return len(held), held, ()
    return nodes or 0, None, ()


def _share(option: str, text: str) -> Fraction:
    """A share or chance as people write it: `0.2`, `20%`, `1/3`, `1e-9`. Raises CommandError."""
    if re.fullmatch(rf"\d{{1,18}}/\d{{0,17}}[1-9]\d{{0,17}}|{_NUMBER}", text):
        return Fraction(text)
    if re.fullmatch(rf"{_NUMBER} ?%", text):
        return Fraction(text[:-1].strip()) / 100
    raise CommandError(
        f"{option} '{text[:40]}' is no share or chance: write it as 0.2, 20%, 1/3 or 1e-9", ExitCode.USAGE
    )


def _tell_progress(size: int) -> None:
    note(f"drawing shards of {size} ...")


def _print(question: Question, choice: Choice) -> None:
    plan, budget = choice.plan, question.budget
    print_facts(
        {
            "shard size": f"{plan.size:,} of {counted(question.nodes, 'encoder')}",
            "quorum": f"{plan.quorum:,} answers, {plan.quorum / plan.size:.0%} of the shard",
            "takeover": f"{_chance(plan, 0)}, budget {_figure(float(budget.security))}",
            "stall": f"{_chance(plan, 1)}, budget {_figure(float(budget.liveness))}",
            "assumed": f"{choice.bad:,} bad, {choice.offline:,} honest ones offline"
            + ("" if choice.trials is None else " at most, by stake")
            + f"; the bad fill {choice.bad_seats:.0%} of the shard in the mean",
        }
    )
    if choice.trials is not None and choice.trials.holdings.largest_share > question.byzantine:
        held = choice.trials.holdings
        say(
            f"Unsafe: the richest node alone holds {float(held.largest_share):.0%} of the stake, more than "
            "all bad ones are assumed to; this plan assumes that it is honest, and it fills one seat."
        )
    print_table(
        "Compared",
        _COLUMNS,
        [
            [
                line.name,
                f"{line.size:,}",
                f"{line.quorum:,}",
                _chance(line, 0),
                _figure(line.takeover_or_tie),
                _chance(line, 1),
                _figure(line.censored),
                "kept" if line.keeps else "not kept",
            ]
            for line in choice.lines
        ],
        right=frozenset(_COLUMNS[1:-1]),
    )


def _chance(line: Line, which: int) -> str:
    """A chance exactly, or with its bound by draws."""
    mean = (line.takeover, line.stall)[which]
    return _figure(mean) if line.bounds is None else f"{_figure(mean)} < {_figure(line.bounds[which])}"


def _figure(chance: float | None) -> str:
    if chance is None:
        return "-"
    return f"{chance:.2g}" if chance < 0.001 else f"{chance:.2%}"


def _document(question: Question, choice: Choice) -> dict[str, object]:
    plan, trials = choice.plan, choice.trials
    return {
        "nodes": question.nodes,
        "bad": choice.bad,
        "offline": choice.offline,
        "budget": {"security": float(question.budget.security), "liveness": float(question.budget.liveness)},
        "method": "exact" if trials is None else "draws",
        "draws": None if trials is None else trials.draws,
        "seed": None if trials is None else question.seed,
        "bad_seats": choice.bad_seats,
        "largest_stake_share": None if trials is None else float(trials.holdings.largest_share),
        "size": plan.size,
        "quorum": plan.quorum,
        "compared": [
            {
                "name": line.name,
                "size": line.size,
                "quorum": line.quorum,
                "takeover": line.takeover,
                "takeover_or_tie": line.takeover_or_tie,
                "stall": line.stall,
                "lying_dealer": line.censored,
                "upper_bounds": line.bounds,
                "keeps_budgets": line.keeps,
            }
            for line in choice.lines
        ],
    }
