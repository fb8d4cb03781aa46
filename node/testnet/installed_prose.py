"""Challenge items for a network that runs for hours: what the installed libraries document."""

from __future__ import annotations

import ast
import sysconfig
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from node.corpus import CHALLENGE_WORDS_MIN
from node.corpus_text import chunk_text, prose_paragraphs
from node.encoders.anchors import anchor_sources
from protocol.items import canonical_text

PACKAGES: Final = ("numpy", "sklearn", "scipy", "sympy", "networkx", "torch")
"""After Python's own library; the small and well written first."""
SOURCE_FILE_BYTES_MAX: Final = 4 << 20
_SKIPPED: Final = frozenset({"test", "tests", "testing", "site-packages", "idlelib", "lib2to3", "pydoc_data"})
_DOCUMENTED: Final = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def installed_prose(items_max: int) -> list[bytes]:
    """At most `items_max` distinct canonical texts from documentation strings, the same on every run.

    Some 3,500 come from Python itself, in two seconds on one core; 15,000 with
    numpy, scikit-learn and scipy, in six. What encoders are aligned on is left out.
    """
    found: dict[bytes, None] = {}
    for text in _texts():
        found[canonical_text(text)] = None
        if len(found) == items_max:
            break
    return list(found)


def _texts() -> Iterator[str]:
    seen: set[str] = set()
    for document in _docstrings():
        fresh = []
        for paragraph in prose_paragraphs(document):
            if paragraph not in seen:
                seen.add(paragraph)
                fresh.append(paragraph)
        for text in chunk_text("\n\n".join(fresh)):
            if len(text.split()) >= CHALLENGE_WORDS_MIN:
                yield text


def _docstrings() -> Iterator[str]:
    left_out = {path.resolve() for path in anchor_sources()}
    for folder in _folders():
        for path in sorted(folder.rglob("*.py")):
            # The library's folder may hold that of the packages, and theirs lie in one of that name.
            if _SKIPPED & set(path.relative_to(folder).parts) or path.resolve() in left_out:
                continue
            if path.stat().st_size <= SOURCE_FILE_BYTES_MAX:
                yield from _docstrings_of(path)


def _folders() -> Iterator[Path]:
    yield Path(sysconfig.get_path("stdlib"))
    for name in PACKAGES:
        # Finding a top-level package does not import it.
        found = find_spec(name)
        if found is not None and found.submodule_search_locations:
            yield Path(next(iter(found.submodule_search_locations)))


def _docstrings_of(path: Path) -> Iterator[str]:
    try:
        with warnings.catch_warnings(action="ignore"):  # of other people's escapes
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # some files are there to be wrong
        return
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        # Statements inside of functions document nothing, and are nine tenths of the tree.
        if isinstance(node, _DOCUMENTED):
            yield ast.get_docstring(node) or ""
        if isinstance(node, ast.Module | ast.ClassDef):
            waiting.extend(reversed(node.body))
