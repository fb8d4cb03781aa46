"""Text enough for many rounds: what the standard library's own sources say about themselves."""

from __future__ import annotations

import ast
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_SKIPPED = frozenset({"test", "tests", "site-packages", "idlelib", "lib2to3"})


def write_long_text(path: Path) -> Path:
    """Write the docstrings of the standard library to `path`: some 1.4 MB, about 100 rounds of 64 items."""
    path.write_text(_long_text(), encoding="utf-8")
    return path


@cache
def _long_text() -> str:
    folder = Path(sysconfig.get_paths()["stdlib"])
    sources = [source for pattern in ("*.py", "[a-s]*/*.py") for source in sorted(folder.glob(pattern))]
    return "\n\n".join(
        text for source in sources if not _SKIPPED & set(source.parts) for text in _docstrings(source)
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
