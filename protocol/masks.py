"""Text masks: a few spans of words per mask, several overlapping masks per item, each with its exact inverse.

A mask is a pure function of (secret, item, index, modality, number of words). Masked words are dropped, not
replaced: a placeholder would be a word of its own to every model. Mask 0 is drawn freely; every later mask is
drawn nested with, crossing or disjoint from mask 0, each a third of the time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Final, TypeAlias

from protocol.hashing import Xof, digest, keyed_stream, uint
from protocol.items import item_id

WORDS_MIN: Final = 8
"""Shorter items have no masks: their parts would hardly mean anything."""
SPANS_MAX: Final = 4
SHARE_PERCENT_MIN: Final = 15
SHARE_PERCENT_MAX: Final = 60
MASKS_MAX: Final = 16

# A mask is drawn again until it has at most SPANS_MAX spans: 4 draws in the mean for a long item. At worst,
# when a mask 0 of 4 spans is to be crossed, one draw in 30 succeeds: the bound is never met.
_DRAWS_MAX: Final = 4096

Span: TypeAlias = tuple[int, int]
"""Words start to stop - 1."""


class MaskError(ValueError):
    """Masks asked for in a way that cannot be, or applied to another item."""


class Relation(Enum):
    """How the words of a mask lie to those of mask 0."""

    NESTED = "nested"
    """One holds all words of the other and more."""
    CROSSING = "crossing"
    """They share words, and each has words the other lacks."""
    DISJOINT = "disjoint"
    """They share no word."""


@dataclass(frozen=True, slots=True)
class TextMask:
    """Which words of one item are masked out of the full text: 1 to 4 spans, apart and in order."""

    spans: tuple[Span, ...]
    word_count: int
    """Of the item: a mask fits no other length."""

    def part(self, item: str) -> str:
        """Return the words inside the spans, joined by one space. Raises MaskError for another item."""
        words = self._words_of(item)
        return " ".join(word for start, stop in self.spans for word in words[start:stop])

    def inverse(self, item: str) -> str:
        """Return the words outside the spans, joined by one space. Raises MaskError for another item."""
        words = self._words_of(item)
        return " ".join(word for start, stop in self.inverse_spans() for word in words[start:stop])

    def inverse_spans(self) -> tuple[Span, ...]:
        """Return the spans of the words outside, apart and in order: with `spans` they partition the item."""
        edges = [0, *(edge for span in self.spans for edge in span), self.word_count]
        return tuple((a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if a < b)

    def share_ppm(self, item: str) -> int:
        """Return the part's share of the UTF-8 bytes of all words (no spaces), in ppm, floored."""
        sizes_bytes = [len(word.encode()) for word in self._words_of(item)]
        inside_bytes = sum(sum(sizes_bytes[start:stop]) for start, stop in self.spans)
        return inside_bytes * 1_000_000 // sum(sizes_bytes)

    def _words_of(self, item: str) -> list[str]:
        words = item.split(" ")
        if len(words) != self.word_count:
            raise MaskError(
                f"this mask is for {self.word_count} words, the item has {len(words)}: "
                "draw the masks of this very item"
            )
        return words


def text_masks(secret: bytes, item: str, count: int) -> tuple[TextMask, ...]:
    """Return the first `count` masks of a canonical text; none when it has fewer than WORDS_MIN words.

    Mask k does not depend on `count`, and no later one equals mask 0. Raises MaskError for a count outside
    0 .. MASKS_MAX.
    """
    if not 0 <= count <= MASKS_MAX:
        raise MaskError(
            f"an item has 0 to {MASKS_MAX} masks, not {count}: lower the masks per item in genesis"
        )
    word_count = item.count(" ") + 1
    if count == 0 or word_count < WORDS_MIN:
        return ()
    name = item_id(item.encode())
    streams = [_stream(secret, name, index, word_count) for index in range(count)]
    first = _free_mask(streams[0], word_count)
    return first, *(_related_mask(stream, first) for stream in streams[1:])


def _stream(secret: bytes, name: bytes, index: int, word_count: int) -> Xof:
    key = digest("mask", secret, name, uint(index), b"text", uint(word_count))
    return keyed_stream(key, "text mask")


def _bounds(word_count: int) -> tuple[int, int]:
    """Return the least and the greatest number of masked words."""
    least = -(-SHARE_PERCENT_MIN * word_count // 100)
    return least, SHARE_PERCENT_MAX * word_count // 100


def _between(stream: Xof, low: int, high: int) -> int:
    return low + stream.below(high - low + 1)


def _free_mask(stream: Xof, word_count: int) -> TextMask:
    spans = _some_of(stream, ((0, word_count),), _between(stream, *_bounds(word_count)))
    return TextMask(_merged(spans), word_count)


def _related_mask(stream: Xof, first: TextMask) -> TextMask:
    """Draw a relation, then masks of that relation until one has few enough spans."""
    wanted = tuple(Relation)[stream.below(len(Relation))]
    inside, outside = first.spans, first.inverse_spans()
    for _ in range(_DRAWS_MAX):
        inside_count, outside_count = _split(stream, wanted, _size(inside), _size(outside))
        chosen = _some_of(stream, inside, inside_count) + _some_of(stream, outside, outside_count)
        spans = _merged(chosen)
        if len(spans) <= SPANS_MAX:
            return TextMask(spans, first.word_count)
    raise AssertionError(f"no {wanted.value} mask in {_DRAWS_MAX} draws over {first}: the drawing is broken")


def _split(stream: Xof, wanted: Relation, inside: int, outside: int) -> tuple[int, int]:
    """Draw how many words to take inside and outside mask 0, so that the relation and the share both hold."""
    least, most = _bounds(inside + outside)
    if wanted is Relation.DISJOINT:
        return 0, _between(stream, least, min(most, outside))
    if wanted is Relation.CROSSING:
        # At least one word in common, one of mask 0 left out, one of our own.
        common = _between(stream, max(1, least - outside), min(inside, most) - 1)
        return common, _between(stream, max(1, least - common), min(most - common, outside))
    # Nested: any permitted size but that of mask 0; smaller ones lie within it, larger ones hold it.
    size = _between(stream, least, most - 1)
    size += size >= inside
    return (size, 0) if size < inside else (inside, size - inside)


def _some_of(stream: Xof, runs: Sequence[Span], count: int) -> list[Span]:
    """Draw `count` words of some runs, taken as one line without holes, as 1 to 4 spans of that line.

    Uniform given the number of spans. Where a span bridges a hole between runs it comes back in pieces.
    """
    free = _size(runs) - count
    if count == 0 or free == 0:
        return list(runs) if count else []
    spans = _between(stream, 1, min(SPANS_MAX, count, free + 1))
    lengths = _parts(stream, count, spans)
    # One gap before, between and after; the outer two may be empty, hence two words added and taken back.
    gaps = _parts(stream, free + 2, spans + 1)
    pieces: list[Span] = []
    place = -1
    for gap, length in zip(gaps, lengths, strict=False):
        place += gap
        pieces += _pieces(runs, place, place + length)
        place += length
    return pieces


def _pieces(runs: Sequence[Span], start: int, stop: int) -> Iterator[Span]:
    """Yield where places start to stop - 1 of the line of runs lie among the words."""
    before = 0
    for run_start, run_stop in runs:
        after = before + run_stop - run_start
        if start < after and stop > before:
            shift = run_start - before
            yield max(start, before) + shift, min(stop, after) + shift
        before = after


def _parts(stream: Xof, total: int, parts: int) -> list[int]:
    """Cut `total` into `parts` positive integers, every way equally likely."""
    cuts: set[int] = set()
    while len(cuts) < parts - 1:
        cuts.add(_between(stream, 1, total - 1))
    return [b - a for a, b in pairwise((0, *sorted(cuts), total))]


def _size(spans: Sequence[Span]) -> int:
    return sum(stop - start for start, stop in spans)


def _merged(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Return disjoint spans in order, those that touch joined."""
    merged: list[Span] = []
    for start, stop in sorted(spans):
        if merged and merged[-1][1] == start:
            merged[-1] = (merged[-1][0], stop)
        else:
            merged.append((start, stop))
    return tuple(merged)
