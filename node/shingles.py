"""Which texts say again what others said: by the runs of words they share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from sys import intern
from typing import Final, TypeAlias

Shingle: TypeAlias = tuple[str, ...]
"""A run of words, in small letters."""
SHINGLE_WORDS: Final = 4
SHINGLES_KNOWN_MAX: Final = 0.25
"""An item with a larger share of known runs of words says what another one said: parameters are documented
again and again in the same words."""

_WORD: Final = re.compile(r"[a-z]+")


def shingles(text: str) -> set[Shingle]:
    """All runs of SHINGLE_WORDS words of a text; of a shorter one, all of it."""
    # Interned: of many texts, most of the memory would be copies of the same words.
    words = [intern(word) for word in _WORD.findall(text.lower())]
    return {tuple(words[at : at + SHINGLE_WORDS]) for at in range(max(1, len(words) - SHINGLE_WORDS + 1))}


def saying_more(items: Iterable[str], known: set[Shingle]) -> Iterator[str]:
    """The items that do not repeat what is known, which what each of them says is added to."""
    for item in items:
        own = shingles(item)
        if len(own & known) <= SHINGLES_KNOWN_MAX * len(own):
            yield item
        known |= own
