"""`deltamesh testnet prepare`, `join` and `fail`: a network whose nodes are started one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.cli.errors import CommandError, ExitCode
from node.cli.options import HonestModelsOption, JsonOption
from node.cli.output import counted, note, print_json

CHEATS_DEFAULT = ("zero", "replay", "copycat", "constant", "random", "late")
ADDRESS_DEFAULT = "/dns4/{name}/tcp/7700"

DirOption = Annotated[Path, typer.Option("--dir", metavar="DIR", help="Holds the homes of all its nodes.")]


def prepare(
    directory: DirOption,
    validators: Annotated[int, typer.Option("--validators", min=1, help="Nodes that deal and score.")] = 4,
    encoders: Annotated[
        int, typer.Option("--encoders", min=3, help="Honest encoders that genesis knows; not all need run.")
    ] = 16,
    cheaters: Annotated[
        int, typer.Option("--cheaters", min=0, help="Cheating encoders that genesis knows.")
    ] = 2,
    cheat: Annotated[
        list[str] | None,
        typer.Option("--cheat", metavar="NAME", help="In which way, in turn; repeatable. [default: several]"),
    ] = None,
    model: HonestModelsOption = None,
    address: Annotated[
        str,
        typer.Option(
            "--address", metavar="ADDR", help="Where others dial a validator, {name} being its name."
        ),
    ] = ADDRESS_DEFAULT,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a parameter of the network. Repeatable."),
    ] = None,
    modality: Annotated[
        str, typer.Option("--modality", metavar="NAME", help="Text, image, audio, series or bytes.")
    ] = "text",
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="PATH",
            help="Data to challenge with. [default: what installed libraries document]",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Shuffles the items.")] = 0,
    json_: JsonOption = False,
) -> None:
    """Make keys, pools and the genesis of a network whose nodes are started one by one, as in containers.

    DIR gets a home for each node, named validator-1, encoders/encoder-1, cheaters/cheater-1 and so on, and
    genesis.json. The network begins seconds later. One that is there already is kept as it is.
    """
    from node.encoders import check_encoder
    from node.encoders.cheaters import CHEATER_NAMES, TEXT_STRATEGIES
    from node.testnet.prepare import Prepared, prepare_testnet
    from protocol.modalities import MODALITIES

    if modality not in MODALITIES:
        raise CommandError(
            f"there is no modality '{modality}': use one of {', '.join(MODALITIES)}", ExitCode.USAGE
        )
    for name in cheat or ():
        if name not in CHEATER_NAMES or (modality != "text" and name in TEXT_STRATEGIES):
            raise CommandError(
                f"there is no cheater '{name}' for {modality}: use one of {', '.join(CHEATER_NAMES)}",
                ExitCode.USAGE,
            )
    for name in model or ():
        check_encoder(name, modality)
    wanted = Prepared(
        validators,
        encoders,
        cheaters,
        tuple(cheat or CHEATS_DEFAULT),
        tuple(model or ()),
        address,
        tuple(changes or ()),
        data,
        seed,
        MODALITIES[modality],
    )
    genesis, is_new = prepare_testnet(directory.absolute(), wanted, lambda step: note(f"{step} ..."))
    found = (
        f"{counted(len(genesis.validators), 'validator')} and {counted(len(genesis.encoders), 'encoder')} in "
        f"{directory}"
    )
    note(f"Prepared {found}." if is_new else f"Kept the network that is there: {found}.")
    if json_:
        print_json(
            {
                "network_id": genesis.network_id,
                "new": is_new,
                "validators": len(genesis.validators),
                "encoders": len(genesis.encoders),
            }
        )


def join(
    directory: DirOption,
    cheats: Annotated[
        bool, typer.Option("--cheater", help="Take the home of a cheater, and cheat its way.")
    ] = False,
    home_note: Annotated[
        Path | None,
        typer.Option("--home-note", metavar="FILE", help="Write the home that was taken into this file."),
    ] = None,
) -> None:
    """Run an encoder of a prepared network, in the first home in which none runs.

    Any number may start at once: no two take the same home. When all prepared ones are taken, a new one is
    made, and its encoder registers by proof of work. Settings come from the environment and the home.
    """
    from config.settings import load_settings
    from node.cli.load_bar import load_bar
    from node.run import run_encoder
    from node.testnet.join import join_testnet
    from node.testnet.plan import NETWORK

    def run(home: Path, cheat: str | None) -> None:
        settings = load_settings({"home": home, "network": NETWORK})
        run_encoder(settings, cheat, loading=load_bar(settings.model))

    join_testnet(directory.absolute(), cheats=cheats, note=home_note, run=run)


def fail(
    command: Annotated[
        list[str],
        typer.Argument(metavar="COMMAND...", help="What to run, after `--`: such as `run validator`."),
    ],
    every_s: Annotated[
        float, typer.Option("--every-s", min=1, max=86_400, help="Seconds between failures, on average.")
    ] = 60.0,
    times: Annotated[
        int, typer.Option("--times", min=0, help="Leave it alone after so many; 0: go on for ever.")
    ] = 0,
    seed: Annotated[
        int | None,
        typer.Option("--seed", help="Repeats a run's failures. [default: drawn]", show_default=False),
    ] = None,
) -> None:
    """Run a node and kill, pause or restart it now and then, to see the network live with it.

    It ends when it is told to, or with the node's own status when that ends by itself.
    """
    import secrets

    from node.testnet.failing import FailingNode, deltamesh_command

    drawn = secrets.randbits(32) if seed is None else seed
    note(f"It fails every {every_s:g} s or so; --seed {drawn} repeats this.")
    status = FailingNode(deltamesh_command(command), every_s, drawn, note, times or None).run()
    if status:
        raise CommandError(
            f"`deltamesh {' '.join(command)}` ended by itself with status {status}: its own message says why",
            ExitCode.NODE_STATE,
        )
