"""Text enough for many rounds: what sources that are installed anyway say about themselves."""

from __future__ import annotations

import ast
import sysconfig
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_SKIPPED = frozenset({"test", "tests", "site-packages", "idlelib", "lib2to3"})


def write_long_text(path: Path) -> Path:
    """Write the docstrings of the standard library and scikit-learn to `path`: some 120 rounds of 64."""
    path.write_text(_long(), encoding="utf-8")
    return path


def write_longer_text(path: Path) -> Path:
    """Write the long text and the docstrings of scipy to `path`: some 200 rounds of 64."""
    path.write_text(f"{_long()}\n\n{_text(_package('scipy'), '*/*.py')}", encoding="utf-8")
    return path


def write_other_text(path: Path) -> Path:
    """Write other docstrings, of the standard library and of numpy, to `path`: some 17 rounds."""
    other = f"{_text(_stdlib(), '[t-z]*/*.py')}\n\n{_text(_package('numpy'), 'ma/*.py', 'lib/*.py')}"
    path.write_text(other, encoding="utf-8")
    return path


def _long() -> str:
    return f"{_text(_stdlib(), '*.py', '[a-s]*/*.py')}\n\n{_text(_package('sklearn'), '*/*.py')}"


def _package(name: str) -> Path:
    found = find_spec(name)
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


def _stdlib() -> Path:
    return Path(sysconfig.get_paths()["stdlib"])


@cache
def _text(folder: Path, *patterns: str) -> str:
    sources = [source for pattern in patterns for source in sorted(folder.glob(pattern))]
    return "\n\n".join(
        text
        for source in sources
        if not _SKIPPED & set(source.relative_to(folder).parts)
        for text in _docstrings(source)
    )


def _docstrings(source: Path) -> Iterator[str]:
    try:
        tree = ast.parse(source.read_bytes())
    except (SyntaxError, ValueError):  # some files are there to be wrong
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
            text = ast.get_docstring(node)
            if text:
                yield text
