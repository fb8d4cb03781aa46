"""`deltamesh version`."""

from __future__ import annotations

from node.cli.options import JsonOption
from node.cli.output import print_facts, print_json
from node.version import DISTRIBUTION


def version(json_: JsonOption = False) -> None:
    """Print the versions of the software, of what it speaks and of what it writes."""
    from node.versions import versions

    found = versions()
    if json_:
        print_json(found.document())
        return
    print_facts(
        {
            DISTRIBUTION: found.version,
            "Python": f"{found.python} on {found.platform}",
            "protocol": f"{found.rpc}, statements of version {found.wire}",
            "schemas": ", ".join(f"{name} {number}" for name, number in found.schemas.items()),
            "torch": found.torch or "not installed",
        }
    )
