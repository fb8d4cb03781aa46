"""Anchor texts: documentation strings of the standard library, on which encoders are aligned offline."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from blake3 import blake3

from node.corpus_text import chunk_text, prose_paragraphs, unique
from node.encoders.encoder import EncoderError

ANCHORS_MIN: Final = 1000
"""Fewer anchors fit noise: 256 dimensions need several pairs each."""
ANCHORS_MAX: Final = 3000
ANCHOR_WORDS_MIN: Final = 5
# Whole texts and fragments: most views are fragments, and those lie elsewhere than whole texts.
_CHUNKS_WORDS: Final = ((40, 24), (14, 9))  # (words_max, words_target)
# Chosen for much prose in little code. `pdb` is left out: pydoc_data.topics holds its documentation.
_MODULES: Final = (
    "collections",
    "difflib",
    "doctest",
    "email.message",
    "http.client",
    "http.cookiejar",
    "ipaddress",
    "logging",
    "random",
    "re",
    "smtplib",
    "statistics",
    "subprocess",
    "textwrap",
    "threading",
    "turtle",
    "typing",
    "unittest.case",
    "unittest.mock",
    "uuid",
    "wave",
)
_DOCUMENTED: Final = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def anchor_texts() -> list[str]:
    """The anchors, without repeats, in a stable order, the same for one Python version.

    Raises EncoderError where the standard library came without its sources.
    """
    return list(_anchors())


def anchors_digest() -> bytes:
    """Digest of the sources the anchors are read from: cheap, for naming what was fitted on them."""
    hasher = blake3(repr((ANCHORS_MAX, ANCHOR_WORDS_MIN, _CHUNKS_WORDS)).encode())
    for path in anchor_sources():
        hasher.update(blake3(path.read_bytes()).digest())
    return hasher.digest()


@cache
def _anchors() -> tuple[str, ...]:
    documents = ["\n\n".join(prose_paragraphs(text)) for text in _docstrings()]
    anchors = unique(
        chunk
        for words_max, words_target in _CHUNKS_WORDS
        for document in documents
        for chunk in chunk_text(document, words_max=words_max, words_target=words_target)
        if len(chunk.split()) >= ANCHOR_WORDS_MIN
    )
    if len(anchors) < ANCHORS_MIN:
        raise EncoderError(
            f"Only {len(anchors)} of the {ANCHORS_MIN} anchor texts needed for alignment were found: "
            "install a Python whose standard library comes with its source files."
        )
    stride = max(1.0, len(anchors) / ANCHORS_MAX)
    return tuple(anchors[int(index * stride)] for index in range(min(len(anchors), ANCHORS_MAX)))


def _docstrings() -> Iterator[str]:
    for path in anchor_sources():
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, _DOCUMENTED):
                yield ast.get_docstring(node) or ""


def anchor_sources() -> Iterator[Path]:
    """The files the anchors are read from."""
    for name in _MODULES:
        found = importlib.util.find_spec(name)
        # Some distributions split modules off (turtle goes with Tk): the rest is enough.
        if found is not None and found.origin is not None and found.origin.endswith(".py"):
            yield Path(found.origin)
