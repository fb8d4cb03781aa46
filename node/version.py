"""Which version of the software this is."""

from __future__ import annotations

DISTRIBUTION = "deltamesh"


def software_version() -> str:
    """The installed version, or `unknown` in a source tree that is not installed."""
    from importlib import metadata

    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "unknown"
