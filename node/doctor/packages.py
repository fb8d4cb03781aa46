"""The four top-level packages have generic names: is each of them ours, and ours alone?

Uses the standard library only: it also runs where what it looks for keeps all else from being imported.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import machinery, metadata
from pathlib import Path
from typing import Final

from node.doctor.finding import Finding, error, ok, warning
from node.version import DISTRIBUTION

CHECK: Final = "packages"
PACKAGES: Final = ("node", "protocol", "scoring", "config")
OURS: Final = Path(__file__).resolve().parents[2]
"""The folder that holds the four."""

_WHY: Final = "what is imported under that name is another program's, here or there"
_APART: Final = "make an environment for deltamesh alone (`python3 -m venv .venv`) and install it there"


@dataclass(frozen=True, slots=True)
class Places:
    """Where one name is found, in the order in which Python looks."""

    name: str
    owners: tuple[str, ...]
    """Installed distributions that say it is theirs."""
    found: tuple[Path, ...]
    """Files or folders a plain `import` could load."""


def look(path: Sequence[str] | None = None) -> tuple[Places, ...]:
    """The places of each of the four names, on `sys.path` or another one."""
    owners = _owners()
    entries = sys.path if path is None else path
    return tuple(Places(name, owners.get(name, ()), _found(name, entries)) for name in PACKAGES)


def judge(places: Sequence[Places], ours: Path = OURS) -> list[Finding]:
    """Whether each name is ours alone."""
    found = [finding for one in places for finding in _taken(one, ours)]
    hidden: dict[Path, list[str]] = {}
    for one in places:
        for other in one.found:
            if other != ours / one.name and other != one.found[0]:
                hidden.setdefault(other.parent, []).append(one.name)
    for folder, names in hidden.items():
        found.append(
            warning(
                CHECK,
                f"{folder} holds {', '.join(names)} too, hidden by ours",
                "a program that belongs there loads ours in its place",
                f"{_APART}, or take {folder} off the path that Python searches",
            )
        )
    return found or [ok(CHECK, f"{', '.join(PACKAGES)} are those of {DISTRIBUTION}, in {ours}")]


def check() -> list[Finding]:
    """Look and judge."""
    return judge(look())


def _taken(one: Places, ours: Path) -> list[Finding]:
    strangers = sorted({owner for owner in one.owners if owner.lower() != DISTRIBUTION})
    found = [
        error(
            CHECK,
            f"the package `{one.name}` is also that of the distribution {owner}",
            f"one of the two has overwritten files of the other, or hides it; {_WHY}",
            f"`pip uninstall {owner}`, then reinstall {DISTRIBUTION}; or {_APART}",
        )
        for owner in strangers
    ]
    mine = ours / one.name
    if one.found and one.found[0] != mine:
        first = one.found[0]
        found.append(
            error(
                CHECK,
                f"{first} comes before {mine} on the path that Python searches",
                f"a process started here may load it as `{one.name}` and fail",
                f"start elsewhere, take {first.parent} out of PYTHONPATH, or rename {first.name}",
            )
        )
    return found


@cache
def _owners() -> Mapping[str, tuple[str, ...]]:
    found = metadata.packages_distributions()
    return {name: tuple(sorted(set(found.get(name, ())))) for name in PACKAGES}


def _found(name: str, entries: Sequence[str]) -> tuple[Path, ...]:
    places: list[Path] = []
    for entry in entries:
        spec = machinery.PathFinder.find_spec(name, [entry or os.getcwd()])
        if spec is None or spec.origin is None:
            continue  # a folder without code, which an import would take only if there were nothing else
        origin = Path(spec.origin)
        place = (origin.parent if origin.name == "__init__.py" else origin).resolve()
        if place not in places:
            places.append(place)
    return tuple(places)
