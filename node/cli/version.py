"""`deltamesh version`."""

from __future__ import annotations

from node.cli.options import JsonOption
from node.cli.output import print_json, say
from node.version import DISTRIBUTION, software_version


def version(json_: JsonOption = False) -> None:
    """Print the version."""
    if json_:
        print_json({"version": software_version()})
    else:
        say(f"{DISTRIBUTION} {software_version()}")
