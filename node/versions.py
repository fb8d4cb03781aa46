"""All that one wants to know of an installation before a fault is looked for: versions, and of what."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any, Final

from node.version import software_version

# Written down here, and held to the code by a test: to ask the code would import half of it.
SCHEMAS: Final = {"store": 5, "signer": 1, "gallery": 1, "pairs": 1, "bundle": 3}


@dataclass(frozen=True, slots=True)
class Versions:
    """Versions of the software, of what it speaks and of what it writes."""

    version: str
    python: str
    platform: str
    rpc: str
    """Negotiated for every stream; nodes of another one do not understand each other."""
    wire: int
    """Of signed statements."""
    schemas: dict[str, int]
    """Of the databases and files in a data directory."""
    torch: str | None
    """With its build, as `2.9.0+cpu`; None where it is not installed."""

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def versions() -> Versions:
    """Those of this installation. Imports neither torch nor libp2p."""
    from protocol.versions import RPC_PROTOCOL, WIRE_VERSION

    return Versions(
        version=software_version(),
        python=platform.python_version(),
        platform=platform.platform(),
        rpc=RPC_PROTOCOL,
        wire=WIRE_VERSION,
        schemas=dict(SCHEMAS),
        torch=_installed("torch"),
    )


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
