"""`deltamesh testnet`: a network on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.cli.errors import CommandError, ExitCode
from node.cli.options import HomeOption, HonestModelsOption
from node.cli.output import counted, note, now_ms, span
from node.cli.testnet_prepare import fail, join, prepare

app = typer.Typer(help="A network of real processes on this machine.", no_args_is_help=True)

CHEATS_DEFAULT = ("forged-inverse", "copycat", "replay", "zero", "random", "constant", "late")


app.command("prepare")(prepare)
app.command("join")(join)
app.command("fail")(fail)


@app.command("up")
def up(
    validators: Annotated[int, typer.Option("--validators", min=1, help="Nodes that deal and score.")] = 4,
    encoders: Annotated[int, typer.Option("--encoders", min=1, help="Nodes that embed.")] = 8,
    cheaters: Annotated[int, typer.Option("--cheaters", min=0, help="How many of the encoders cheat.")] = 2,
    cheat: Annotated[
        list[str] | None,
        typer.Option("--cheat", metavar="NAME", help="In which way; repeatable. [default: one of each]"),
    ] = None,
    model: HonestModelsOption = None,
    learn: Annotated[
        int,
        typer.Option(
            "--learn", metavar="N", min=0, help="So many that run a trained: model learn from rounds."
        ),
    ] = 0,
    shards: Annotated[
        int, typer.Option("--shards", min=1, help="Shards of each round, each with a dealer of its own.")
    ] = 1,
    shard_size: Annotated[
        int | None,
        typer.Option("--shard-size", min=1, help="Encoders of one shard. [default: that of localnet]"),
    ] = None,
    rounds: Annotated[
        int | None, typer.Option("--rounds", min=1, help="Stop after so many. [default: run until Ctrl-C]")
    ] = None,
    modality: Annotated[
        str, typer.Option("--modality", metavar="NAME", help="Text, image, audio, series or bytes.")
    ] = "text",
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="PATH", help="Data to challenge with. [default: what ships with libraries]"
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write a summary of the run here.")
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option("--dir", metavar="DIR", help="A new folder for the nodes. [default: in the home]"),
    ] = None,
    observe: Annotated[
        bool, typer.Option("--observe", help="Run Prometheus beside it; has to be installed.")
    ] = False,
    chaos: Annotated[
        float | None,
        typer.Option(
            "--chaos", metavar="SECONDS", min=10, help="Kill a node that often; it comes back 8 s later."
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", help="Shuffles who runs what, is killed, and the items.")
    ] = 0,
    home: HomeOption = None,
) -> None:
    """Start validators and encoders, watch them certify rounds, stop them all at the end."""
    started_ms = now_ms()
    from contextlib import ExitStack

    from rich.console import Console

    from node.encoders import check_encoder
    from node.encoders.cheaters import CHEATER_NAMES, TEXT_STRATEGIES
    from node.testnet.chaos import Chaos
    from node.testnet.fleet import Fleet
    from node.testnet.kernels import kernels_compiled
    from node.testnet.observe import find_prometheus, prometheus_running
    from node.testnet.plan import Wanted, plan_testnet
    from node.testnet.shortfall import shortfall
    from node.testnet.up import Run
    from protocol.modalities import MODALITIES

    console = Console()
    for name in cheat or ():
        if name not in CHEATER_NAMES:
            raise CommandError(
                f"there is no cheater '{name}': use one of {', '.join(CHEATER_NAMES)}", ExitCode.USAGE
            )
    if modality not in MODALITIES:
        raise CommandError(
            f"there is no modality '{modality}': use one of {', '.join(MODALITIES)}", ExitCode.USAGE
        )
    cheats = tuple(
        cheat or (name for name in CHEATS_DEFAULT if modality == "text" or name not in TEXT_STRATEGIES)
    )
    for name in cheats:
        if modality != "text" and name in TEXT_STRATEGIES:
            raise CommandError(f"'{name}' matches words: it knows no {modality}", ExitCode.USAGE)
    for name in model or ():
        check_encoder(name, modality)
    if json_file is not None and not json_file.absolute().parent.is_dir():
        raise CommandError(
            f"the folder of {json_file} does not exist: create it, or name another file with --json",
            ExitCode.BAD_INPUT,
        )
    if observe:
        find_prometheus()
    models = tuple(model or ())
    kind = MODALITIES[modality]
    wanted = Wanted(
        validators, encoders, cheaters, cheats, data, seed, models, shards, shard_size, kind, observe, learn
    )
    root = directory if directory is not None else _default_root(home)

    def progress(step: str) -> None:
        console.print(f"{step} ...", style="dim")

    def tell(text: str) -> None:
        console.print(text, soft_wrap=True, markup=False, highlight=False)

    plan = plan_testnet(root.absolute(), wanted, progress, beside=kernels_compiled(progress))
    slot_ms = plan.genesis.parameters.slot_ms
    lasting = span(plan.rounds_max * slot_ms)
    tell(f"the challenge items are enough for {counted(plan.rounds_max, 'round')} at most, {lasting}")
    tell(f"starting {validators} validators and {encoders} encoders in {plan.root}")
    tell(f"a round begins every {slot_ms / 1_000:g} s; the first ones pass while the nodes start")
    tell(f"watch it, and ask it for embeddings, at http://{plan.validators[0].api}")
    if rounds is None and modality == "text":
        tell(f'in another terminal: deltamesh embed "a sentence" --home {plan.validators[0].home}')
    with ExitStack() as stack:
        if observe:
            url = stack.enter_context(prometheus_running(plan))
            tell(f"its metrics and alerts are at {url}")
        fleet = stack.enter_context(Fleet(plan.nodes))
        fleet.start_all()
        # A dealer that is killed takes its round with it.
        share = 1.0 if chaos is None else 0.5
        run = Run(plan, fleet, rounds, console, started_ms, share)
        killer = Chaos(plan, fleet, chaos, seed, tell) if chaos is not None else None
        run.go(lambda _: killer.tick() if killer is not None else None)
        tell(f"{run.ended_because}; stopping the nodes")
    if json_file is not None:
        run.write_summary(json_file)
    _say_where(console, plan.root, plan.validators[0].home, json_file)
    if not run.succeeded:
        missing = max(0, (rounds or 0) - run.rounds_done)
        raise CommandError(shortfall(run.past, plan.root, missing), ExitCode.NODE_STATE)


def _default_root(home: Path | None) -> Path:
    from datetime import datetime

    from config.settings import load_settings

    base = load_settings({"home": home} if home else {}).home
    return base / "testnets" / datetime.now().strftime("%Y%m%d-%H%M%S")


def _say_where(console: object, root: Path, validator: Path, json_file: Path | None) -> None:
    note(f"everything is in {root}; look at it with:")
    note(f"  deltamesh rounds --home {validator}")
    note(f"  deltamesh scores --home {validator}")
    note(f"  deltamesh embeddings export --to embeddings.parquet --home {validator}")
    if json_file is not None:
        note(f"the summary is in {json_file}")
