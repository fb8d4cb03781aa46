"""Real English texts that are there offline: prose from the documentation of Python and of packages."""

from __future__ import annotations

import ast
import gc
import importlib.util
import inspect
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Final

from blake3 import blake3

from node.bench.errors import BenchError
from node.bench.text_sources import (
    FIRST_SOURCES,
    HELD_OUT_SOURCES,
    LATER_SOURCES,
    LATEST_SOURCES,
    Sources,
)
from node.corpus_text import chunk_text, prose_paragraphs, unique
from node.encoders.anchors import anchor_texts
from node.shingles import Shingle, saying_more, shingles

ITEM_WORDS_MIN: Final = 40
"""Shorter chunks have parts that hardly mean anything."""
SPLIT_ITEMS_MIN: Final = 600
"""Fewer items in a split would make its figures depend on which ones they are."""
DRAWN_ITEMS_MAX: Final = 5120
"""Of the splits with sources of their own, drawn by their hashes: there are more."""
_LITERAL_CHARACTERS_MIN: Final = 160
_ROLE: Final = re.compile(r":[a-z:]+:`~?([^`]*)`")
_HASH_BYTES: Final = 2


class Split(Enum):
    """A part of the texts, by what it may be used for."""

    FIT = "fit"
    """What encoders of ours learn from; never scored on."""
    TUNE = "tune"
    """What the constants of a rule are chosen on."""
    LATER = "later"
    """Other sources: what the figures of an earlier frozen rule were taken on, once."""
    LATEST = "latest"
    """Sources again others, for the figures of the rule frozen after those were seen."""
    HELD_OUT = "held-out"
    """Sources again others, for the figures of the rule that stands, frozen after all of these were seen."""


# The upper ends of each split in hashes of documents.
_SPLIT_ENDS: Final = {Split.FIT: 0.4, Split.TUNE: 1.0}
# Of each further split the one before, none of whose items it repeats, and its sources.
_DRAWN: Final = {
    Split.LATER: (None, LATER_SOURCES),
    Split.LATEST: (Split.LATER, LATEST_SOURCES),
    Split.HELD_OUT: (Split.LATEST, HELD_OUT_SOURCES),
}


def split_texts(split: Split) -> tuple[str, ...]:
    """The items of a split: canonical, 40 to 80 words, no two alike, in the order of their hashes.

    The same for the same versions of Python and of the packages; `latest` and `held-out` are of packages that
    the extras `minilm` and `dev` bring. A document is in one split as a whole.
    Raises BenchError where too little text is installed.
    """
    items = _first_items()[0][split] if split in _SPLIT_ENDS else _drawn_items(split)[0]
    if len(items) < SPLIT_ITEMS_MIN:
        raise BenchError(
            f"Only {len(items)} of the {SPLIT_ITEMS_MIN} texts needed for `{split.value}` were found: "
            "install numpy, scipy, scikit-learn and torch with their sources, for `latest` and "
            "`held-out` the extras `minilm` and `dev` as well."
        )
    return items


def split_by_name(name: str) -> Split:
    """The split of that name. Raises BenchError, naming those there are."""
    try:
        return Split(name)
    except ValueError:
        known = ", ".join(split.value for split in Split)
        raise BenchError(f"There is no split `{name}`: use one of {known}.") from None


@cache
def _first_items() -> tuple[dict[Split, tuple[str, ...]], frozenset[Shingle], frozenset[bytes]]:
    """The items of the splits of the first sources, all that was said in them or dropped, their documents."""
    with _uncollected():
        items: dict[Split, list[str]] = {split: [] for split in _SPLIT_ENDS}
        # What encoders are aligned on comes first, so that no item repeats it.
        known = {shingle for text in anchor_texts() for shingle in shingles(text)}
        documents = unique(_documents())
        for document in documents:
            items[_split_of(document)] += _new_items(document, known)
        ordered = {split: _ordered(found) for split, found in items.items()}
        # By their digests: to read them again for each later split took three seconds.
        return ordered, frozenset(known), frozenset(map(_digest, documents))


@cache
def _drawn_items(split: Split) -> tuple[tuple[str, ...], frozenset[Shingle]]:
    """Items of a split with sources of its own, and all that was said in them, in earlier ones or dropped."""
    with _uncollected():
        before, sources = _DRAWN[split]
        known = set(_first_items()[1] if before is None else _drawn_items(before)[1])
        earlier = _first_items()[2]
        read = unique(_literals(_paths(sources)))
        documents = [document for document in read if _digest(document) not in earlier]
        items = _ordered(item for document in documents for item in _new_items(document, known))
        return items[:DRAWN_ITEMS_MAX], frozenset(known)


def _digest(document: str) -> bytes:
    # A literal may hold half a surrogate pair.
    return blake3(document.encode(errors="surrogatepass")).digest()


def _new_items(document: str, known: set[Shingle]) -> list[str]:
    """The items of a document that do not repeat what is known, which what they say is added to."""
    chunks = chunk_text("\n\n".join(prose_paragraphs(_plain(document))))
    return list(saying_more((item for item in chunks if len(item.split()) >= ITEM_WORDS_MIN), known))


def _ordered(items: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(items, key=lambda text: blake3(text.encode()).digest()))


def _split_of(document: str) -> Split:
    place = int.from_bytes(blake3(document.encode()).digest(length=_HASH_BYTES), "big") / 256**_HASH_BYTES
    return next(split for split, end in _SPLIT_ENDS.items() if place < end)


def _plain(document: str) -> str:
    """Without the marks of reStructuredText inside a line."""
    return _ROLE.sub(r"\1", inspect.cleandoc(document)).replace("`", "")


def _documents() -> Iterator[str]:
    from pydoc_data.topics import topics

    yield from (topics[name] for name in sorted(topics))
    yield from _literals(_paths(FIRST_SOURCES))


def _literals(paths: Iterable[Path]) -> Iterator[str]:
    """The texts of these files: whole, or of a program every long literal of several lines."""
    for path in paths:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".rst":
            yield text
            continue
        for node in ast.walk(ast.parse(text)):
            # Every long literal, not only documentation strings: numpy and torch attach theirs by calls.
            value = node.value if isinstance(node, ast.Constant) else None
            if isinstance(value, str) and "\n" in value and len(value) >= _LITERAL_CHARACTERS_MIN:
                yield value


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the search for cycles: none arise, and among a million runs of words it takes half the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _paths(sources: Sources) -> Iterator[Path]:
    for package, places in sources.items():
        found = importlib.util.find_spec(package)
        if found is None or found.origin is None:
            continue
        for place in places:
            root = Path(found.origin).parent / place
            inside = [root] if root.is_file() else sorted((*root.rglob("*.py"), *root.rglob("*.rst")))
            yield from (path for path in inside if "tests" not in path.parts)
