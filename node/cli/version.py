"""`deltamesh version`."""

from __future__ import annotations

from node.cli.options import JsonOption
from node.cli.output import print_json, say

DISTRIBUTION = "deltamesh"


def software_version() -> str:
    """The installed version, or `unknown` in a source tree that is not installed."""
    from importlib import metadata

    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "unknown"


def version(json_: JsonOption = False) -> None:
    """Print the version."""
    if json_:
        print_json({"version": software_version()})
    else:
        say(f"{DISTRIBUTION} {software_version()}")
