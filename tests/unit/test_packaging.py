"""The distribution: what it owns, what it asks for, and that it is never uploaded."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("node", "protocol", "scoring", "config")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = [
    line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")
]


def installed() -> bool:
    try:
        distribution("deltamesh")
    except PackageNotFoundError:
        return False
    return True


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_each_package__has_exactly_one_owner_in_this_environment() -> None:
    owners = packages_distributions()
    expected = {"deltamesh"} if installed() else set()
    assert {name: set(owners.get(name, ())) for name in PACKAGES} == dict.fromkeys(PACKAGES, expected)


@pytest.mark.parametrize("name", PACKAGES)
def test_each_package__is_typed(name: str) -> None:
    assert (ROOT / name / "py.typed").exists()
    assert (ROOT / name / "__init__.py").exists()


def test_every_folder_with_code__is_a_package_that_the_wheel_takes() -> None:
    folders = {path.parent for name in PACKAGES for path in (ROOT / name).rglob("*.py")}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_distribution__can_never_be_uploaded() -> None:
    assert "Private :: Do Not Upload" in PROJECT["classifiers"]


@pytest.mark.parametrize("pin", PINS)
def test_pin__is_a_version_from_any_index(pin: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", pin), "no local version, path or address"


def test_constraints__pin_every_direct_requirement() -> None:
    pinned = {canonical(pin.partition("==")[0]) for pin in PINS}
    extras = PROJECT["optional-dependencies"]
    wanted = PROJECT["dependencies"] + extras["dev"] + extras["minilm"]
    names = {canonical(re.split(r"[<>=!~\[; ]", requirement)[0]) for requirement in wanted}
    assert names - pinned == set()
    assert len(pinned) == len(PINS), "each name once"


@pytest.mark.slow
def test_wheel__is_built_without_a_warning_and_has_every_file_of_the_packages(tmp_path: Path) -> None:
    source, wheels = tmp_path / "source", tmp_path / "wheels"
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--verbose", "--no-deps", "--no-build-isolation"]
    # Where no bytecode is wanted, as in CI, setuptools warns of that.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [*command, "--wheel-dir", wheels, source],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert not re.findall(r".*(?:[Ww]arning|importable package|[Dd]eprecat).*", said)
    (wheel,) = wheels.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if not name.startswith("deltamesh-")}
    there = {path.relative_to(source) for name in PACKAGES for path in (source / name).rglob("*")}
    assert held == {str(path) for path in there if (source / path).is_file()}
