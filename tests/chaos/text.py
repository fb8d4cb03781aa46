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
    """Write the docstrings of the standard library to `path`: some 1.4 MB, about 100 rounds of 64 items."""
    path.write_text(_text(_stdlib(), "*.py", "[a-s]*/*.py"), encoding="utf-8")
    return path


def write_longer_text(path: Path) -> Path:
    """Write the long text and the docstrings of scikit-learn to `path`: some 170 rounds of 64 items."""
    learn = find_spec("sklearn")
    assert learn is not None
    assert learn.origin is not None
    more = _text(Path(learn.origin).parent, "*/*.py")
    path.write_text(f"{_text(_stdlib(), '*.py', '[a-s]*/*.py')}\n\n{more}", encoding="utf-8")
    return path


def write_other_text(path: Path) -> Path:
    """Write the docstrings of other parts of the standard library to `path`: some 17 rounds."""
    path.write_text(_text(_stdlib(), "[t-z]*/*.py"), encoding="utf-8")
    return path


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
