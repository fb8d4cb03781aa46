"""The import contracts hold, and fail when a forbidden import is added. Scoring does no torch I/O."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("node", "protocol", "scoring", "config")
LINT = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"

# What reads or writes files when it is called on torch, numpy or nothing at all.
FILE_CALLS = {"open", "load", "save", "savez", "savez_compressed", "loadtxt", "savetxt", "fromfile", "tofile"}


def lint(root: Path) -> tuple[int, str]:
    result = subprocess.run(
        [sys.executable, "-c", LINT], cwd=root, capture_output=True, text=True, check=False, timeout=60
    )
    return result.returncode, result.stdout + result.stderr


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages and the contracts, apart from the checkout."""
    root = tmp_path_factory.mktemp("copy")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


def test_contracts__are_kept_by_the_code_as_it_is(copy: Path) -> None:
    code, output = lint(copy)
    assert code == 0, output
    assert "0 broken" in output


@pytest.mark.parametrize(
    ("package", "statement", "contract"),
    [
        ("protocol", "import time", "protocol is pure"),
        ("protocol", "from random import Random", "protocol is pure"),
        ("protocol", "import asyncio.events", "protocol is pure"),
        ("protocol", "def f() -> None:\n    import socket", "protocol is pure"),
        ("protocol", "import torch", "protocol is pure"),
        ("protocol", "import config.errors", "node -> scoring | config -> protocol"),
        ("scoring", "import sqlite3", "scoring is pure"),
        ("scoring", "import trio", "scoring is pure"),
        ("scoring", "import config.errors", "node -> scoring | config -> protocol"),
        ("config", "import libp2p.peer.id", "only node.network imports libp2p"),
        ("config", "import node.keys", "node -> scoring | config -> protocol"),
        ("node", "import libp2p", "only node.network imports libp2p"),
    ],
)
def test_forbidden_import__breaks_its_contract(
    copy: Path, package: str, statement: str, contract: str
) -> None:
    added = copy / package / "forbidden.py"
    added.write_text(statement + "\n")
    try:
        code, output = lint(copy)
    finally:
        added.unlink()
    assert code != 0
    assert re.search(rf"^{re.escape(contract)}.* BROKEN", output, re.MULTILINE), output


def test_libp2p__is_allowed_in_the_network_package(copy: Path) -> None:
    added = copy / "node" / "network" / "allowed.py"
    added.write_text("import libp2p.peer.id\n")
    try:
        code, output = lint(copy)
    finally:
        added.unlink()
    assert code == 0, output


def file_calls(source: str) -> Iterator[str]:
    """Names of the calls in a module that may touch files."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in FILE_CALLS:
                yield name
            case ast.Call(func=ast.Attribute(attr=name)) if name in FILE_CALLS:
                yield name
            case ast.ImportFrom(module="torch" | "numpy", names=names):
                yield from (alias.name for alias in names if alias.name in FILE_CALLS)


@pytest.mark.parametrize("module", sorted(ROOT.glob("scoring/**/*.py")), ids=lambda path: path.stem)
def test_scoring__calls_nothing_that_touches_files(module: Path) -> None:
    assert list(file_calls(module.read_text())) == []


@pytest.mark.parametrize(
    "source", ["import torch\ntorch.load('x')", "open('x')", "from torch import save", "np.savez('x')"]
)
def test_check_for_file_calls__finds_them(source: str) -> None:
    assert list(file_calls(source)) != []


@pytest.mark.parametrize("module", sorted(ROOT.glob("scoring/**/*.py")), ids=lambda path: path.stem)
def test_scoring__imports_no_part_of_torch_that_does_io(module: Path) -> None:
    imported = {
        name
        for node in ast.walk(ast.parse(module.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    forbidden = ("os", "io", "pathlib", "shutil", "torch.hub", "torch.distributed", "torch.multiprocessing")
    assert not [name for name in imported if name in forbidden or name.startswith(forbidden[4:])]
