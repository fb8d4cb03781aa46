"""`deltamesh sim`: the network in virtual time, with every fault drawn from a seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.errors import CommandError, ExitCode
from node.cli.options import JsonOption, is_for_subcommand
from node.cli.output import counted, note, print_facts, print_json, progress, say
from node.cli.sim_scale import scale
from node.cli.sim_waves import waves

if TYPE_CHECKING:
    from node.sim.run import Outcome
    from node.sim.scenario import Wishes

SAY_EVERY = 1_000
"""Seeds after which a long run says how far it has come."""

app = typer.Typer(invoke_without_command=True)
app.command("scale")(scale)
app.command("waves")(waves)

_PANEL_DRAWN = "What is otherwise drawn from the seed"


@app.callback()
def sim(
    ctx: typer.Context,
    seeds: Annotated[
        int, typer.Option("--seeds", metavar="N", min=1, help="Run so many scenarios, from --first on.")
    ] = 200,
    first: Annotated[int, typer.Option("--first", metavar="N", min=0, help="The first seed.")] = 0,
    processes: Annotated[
        int, typer.Option("--processes", metavar="N", min=1, help="Share the seeds among so many processes.")
    ] = 1,
    seed: Annotated[int | None, typer.Option("--seed", metavar="N", min=0, help="Run this one only.")] = None,
    trace: Annotated[
        bool, typer.Option("--trace", help="With --seed: print every event, one a line.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="With --seed: say what the seed stands for, and run nothing.")
    ] = False,
    validators: Annotated[
        int | None, typer.Option("--validators", metavar="N", help="So many.", rich_help_panel=_PANEL_DRAWN)
    ] = None,
    encoders: Annotated[
        int | None, typer.Option("--encoders", metavar="N", help="So many.", rich_help_panel=_PANEL_DRAWN)
    ] = None,
    shards: Annotated[
        int | None,
        typer.Option(
            "--shards",
            metavar="N",
            min=1,
            help="Shards of each round, each with a dealer of its own.",
            rich_help_panel=_PANEL_DRAWN,
        ),
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(
            "--rounds",
            metavar="N",
            min=1,
            help="Rounds with faults. [always 4]",
            rich_help_panel=_PANEL_DRAWN,
        ),
    ] = None,
    loss: Annotated[
        int | None,
        typer.Option(
            "--loss", metavar="PERCENT", min=0, max=90, help="Messages lost.", rich_help_panel=_PANEL_DRAWN
        ),
    ] = None,
    byzantine: Annotated[
        int | None,
        typer.Option(
            "--byzantine", metavar="N", min=0, help="Validators that lie.", rich_help_panel=_PANEL_DRAWN
        ),
    ] = None,
    cheaters: Annotated[
        int | None,
        typer.Option(
            "--cheaters", metavar="N", min=0, help="Encoders that cheat.", rich_help_panel=_PANEL_DRAWN
        ),
    ] = None,
    crashes: Annotated[
        int | None,
        typer.Option("--crashes", metavar="N", min=0, help="Crashes.", rich_help_panel=_PANEL_DRAWN),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Run the node's own machines in virtual time and check invariants after every event.

    Each seed is a scenario: a network, lossy links, crashes, partitions, wrong clocks, failing disks, members
    that lie. The same seed gives the same trace, whose hash is printed. Exits with 5 when an invariant broke,
    and prints the command that shows how. Every 1,000 seeds it says where to go on after an interruption.
    """
    if is_for_subcommand(ctx):
        return
    from node.sim.many import simulate_many
    from node.sim.scenario import ScenarioError, Wishes, draw_scenario

    if seed is None and (trace or explain):
        raise CommandError("--trace and --explain are about one seed: add --seed N", ExitCode.BAD_INPUT)
    wishes = Wishes(validators, encoders, rounds, loss, byzantine, cheaters, crashes, shards)
    chosen = range(first, first + seeds) if seed is None else range(seed, seed + 1)
    try:
        scenarios = [draw_scenario(one, wishes) for one in chosen]
    except ScenarioError as error:
        raise CommandError(str(error), ExitCode.BAD_INPUT) from None
    if explain:
        facts = scenarios[0].facts()
        if json_:
            print_json(facts)
        else:
            print_facts(facts)
        return
    outcomes = []
    with progress("simulating", len(scenarios)) as bar:
        for outcome in simulate_many(scenarios, processes, keep_trace=trace):
            outcomes.append(outcome)
            bar.step()
            if outcome.violation:
                note(f"seed {outcome.scenario.seed}: {outcome.violation}")
                note(f"replay: {_replay(outcome.scenario.seed, wishes)}")
            if len(outcomes) % SAY_EVERY == 0:
                note(f"{len(outcomes):,} seeds are done; go on with --first {outcome.scenario.seed + 1}")
    if json_:
        print_json([outcome.document() for outcome in outcomes])
    else:
        _print(outcomes, trace)
    if any(outcome.violation for outcome in outcomes):
        raise typer.Exit(ExitCode.REFUSED)


def _print(outcomes: list[Outcome], trace: bool) -> None:
    if trace:
        for line in outcomes[0].lines:
            say(line)
    if len(outcomes) == 1:
        (one,) = outcomes
        say(f"trace {one.trace_hash}, {one.events:,} events, {one.messages:,} messages")
    certified = sum(outcome.certified_rounds for outcome in outcomes)
    rounds = sum(outcome.rounds for outcome in outcomes)
    broken = sum(bool(outcome.violation) for outcome in outcomes)
    say(
        f"{counted(len(outcomes), 'seed')}, {certified:,} of {counted(rounds, 'shard-round')} certified, "
        f"{counted(broken, 'violation')}"
    )


def _replay(seed: int, wishes: Wishes) -> str:
    """The command that shows how an invariant broke."""
    options = {
        "validators": wishes.validators,
        "encoders": wishes.encoders,
        "shards": wishes.shards,
        "rounds": wishes.rounds,
        "loss": wishes.loss_percent,
        "byzantine": wishes.byzantine,
        "cheaters": wishes.cheaters,
        "crashes": wishes.crashes,
    }
    told = "".join(f" --{name} {value}" for name, value in options.items() if value is not None)
    return f"deltamesh sim --seed {seed}{told} --trace"
