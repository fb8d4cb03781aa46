"""`deltamesh config`: the settings in force, where each comes from, and what is wrong with them."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.errors import ExitCode
from node.cli.options import HomeOption, JsonOption, NetworkOption, settings_of
from node.cli.output import counted, print_json, print_table, printable, say

if TYPE_CHECKING:
    from config.described import Described

app = typer.Typer(help="The node's settings.", no_args_is_help=True)


@app.command("show")
def show(
    home: HomeOption = None,
    network: NetworkOption = None,
    origin: Annotated[
        bool,
        typer.Option("--origin", help="Also where each value comes from.", show_default=False),
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Print every setting that is in force here. Secrets are not shown."""
    from config.described import described

    found = described(settings_of(home, network))
    if json_:
        print_json({one.key: {k: v for k, v in asdict(one).items() if k != "key"} for one in found})
        return
    rows = [[one.key, _cell(one), *([one.origin] if origin else [])] for one in found]
    print_table("", ["setting", "value", *(["from"] if origin else [])], rows)


@app.command("check")
def check(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="A settings file. Left out: that of the data directory."),
    ] = None,
    home: HomeOption = None,
    network: NetworkOption = None,
    json_: JsonOption = False,
) -> None:
    """Say everything that is wrong with the settings, and start nothing.

    Unknown keys, types, ranges, addresses, and settings that contradict each other; also what a flag or a
    variable hides now. Exit code 3 when a node would refuse them.
    """
    from config.contradictions import Weight, contradictions
    from config.errors import ConfigError
    from config.settings import file_place, load_settings, settings_faults
    from node.doctor.placing import flags_given, placed

    flags = {"home": home, "network": network}
    if file is not None and not file.exists():
        raise ConfigError(f"there is no settings file {file}: check the path")
    faults = settings_faults(flags, file=file)
    here = flags_given(home, network)
    against = [
        replace(one, remedy=placed(one.remedy, here))
        for one in ([] if faults else contradictions(load_settings(flags, file=file)))
    ]
    refused = len(faults) + sum(one.weight is Weight.REFUSED for one in against)
    place = file or file_place(flags)
    if json_:
        findings = [{**asdict(one), "weight": one.weight.value} for one in against]
        print_json({"file": str(place), "faults": faults, "contradictions": findings})
    else:
        for fault in faults:
            say(f"✗ {printable(fault)}")
        for one in against:
            say(f"{'✗' if one.weight is Weight.REFUSED else '!'} {printable(one.seen)}: {one.why}")
            say(f"  → {one.remedy}")
        if not faults and not against:
            there = "" if place.exists() else ", which is not there: defaults are used"
            say(f"✓ nothing is wrong with the settings in {place}{there}")
        elif not refused:
            say(f"A node would start; {counted(len(against), 'thing')} above would hardly be wanted.")
    if refused:
        raise typer.Exit(ExitCode.BAD_INPUT)


@app.command("path")
def path(home: HomeOption = None, network: NetworkOption = None) -> None:
    """Print where the settings file of the node is, or would be."""
    from config.settings import file_place

    say(str(file_place({"home": home, "network": network})))


@app.command("example")
def example() -> None:
    """Print a settings file with every setting, its meaning and its default, all commented out."""
    from config.described import example_file

    say(example_file().rstrip("\n"))


def _cell(one: Described) -> str:
    if one.value is None:
        return "-"
    if isinstance(one.value, tuple):
        return ", ".join(one.value) or "-"
    if isinstance(one.value, bool):
        return "yes" if one.value else "no"
    unit = f" {one.unit}" if one.unit and one.unit != one.key else ""
    return f"{one.value:,}{unit}" if isinstance(one.value, int) else one.value
