"""Masks: a few spans of units per mask, several overlapping masks per item, each with its exact inverse.

A mask is a pure function of (secret, item, index, modality, number of units); of grids not of the item. Units
are the modality's: words, patches, blocks of time and frequency. Mask 0, which is scored, is one end of a
text, and drawn freely of anything else; every later mask is drawn nested with, crossing or disjoint from mask
0, each a third of the time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from itertools import pairwise
from typing import Final

from protocol.hashing import Xof, digest, keyed_stream, uint
from protocol.items import item_id
from protocol.modalities import Span, Units

UNITS_MIN: Final = 8
"""Items of fewer units have no masks: their parts would hardly mean anything."""
SPANS_MAX: Final = 4
SHARE_PERCENT_MIN: Final = 15
MASKS_MAX: Final = 16
CUT_PERCENT_MIN: Final = 40
CUT_PERCENT_MAX: Final = 60
"""What one end of a text takes of it: half, more or less, so that both parts say as much as they can."""

# A mask is drawn again until it has at most SPANS_MAX spans: 4 draws in the mean for a long item. At worst,
# when a mask 0 of 4 spans is to be crossed, one draw in 30 succeeds: the bound is never met.
_DRAWS_MAX: Final = 4096


class MaskError(ValueError):
    """Masks asked for in a way that cannot be, or applied to another item."""


class FirstMask(StrEnum):
    """How mask 0 of a text is drawn; of everything else it is always spans."""

    CUT = "cut"
    """One end of it: neighbouring words are torn apart in one place only."""
    SPANS = "spans"
    """1 to 4 spans anywhere, as in networks whose genesis does not say."""


class Relation(Enum):
    """How the units of a mask lie to those of mask 0."""

    NESTED = "nested"
    """One holds all units of the other and more."""
    CROSSING = "crossing"
    """They share units, and each has units the other lacks."""
    DISJOINT = "disjoint"
    """They share no unit."""


@dataclass(frozen=True, slots=True)
class Mask:
    """Which units of one item are masked out of the full item: 1 to 4 spans, apart and in order."""

    spans: tuple[Span, ...]
    unit_count: int
    """Of the item: a mask fits no other length."""

    def part(self, item: Units) -> bytes:
        """Return the view of the units inside the spans. Raises MaskError for another item."""
        return self._of(item).keep(self.spans)

    def inverse(self, item: Units) -> bytes:
        """Return the view of the units outside the spans. Raises MaskError for another item."""
        return self._of(item).keep(self.inverse_spans())

    def inverse_spans(self) -> tuple[Span, ...]:
        """Return the spans of the units outside, apart and in order: with `spans` they partition the item."""
        edges = [0, *(edge for span in self.spans for edge in span), self.unit_count]
        return tuple((a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if a < b)

    def share_ppm(self, item: Units) -> int:
        """Return the part's share of what all units weigh, in ppm, floored: of text, of its words' bytes."""
        return self._of(item).share_ppm(self.spans)

    def _of(self, item: Units) -> Units:
        if len(item) != self.unit_count:
            raise MaskError(
                f"this mask is for {self.unit_count} units, the item has {len(item)}: "
                "draw the masks of this very item"
            )
        return item


def masks_of(
    secret: bytes, item: Units, count: int, first_mask: FirstMask = FirstMask.CUT
) -> tuple[Mask, ...]:
    """Return the first `count` masks of an item; none when it has fewer than UNITS_MIN units.

    Mask k does not depend on `count`, and no later one equals mask 0. Raises MaskError for a count outside
    0 .. MASKS_MAX.
    """
    if not 0 <= count <= MASKS_MAX:
        raise MaskError(
            f"an item has 0 to {MASKS_MAX} masks, not {count}: lower the masks per item in genesis"
        )
    if count == 0 or len(item) < UNITS_MIN:
        return ()
    bounds = _bounds(len(item), item.modality.share_percent_max)
    name = item_id(item.data)
    streams = [_stream(secret, name, index, item) for index in range(count)]
    if first_mask is FirstMask.CUT and item.modality.is_cut_in_two:
        first = _end(_stream(secret, name, 0, item, "cut"), len(item))
    else:
        first = _free_mask(streams[0], len(item), bounds)
    return first, *(_related_mask(stream, first, bounds) for stream in streams[1:])


def _stream(secret: bytes, name: bytes, index: int, item: Units, what: str = "mask") -> Xof:
    modality = item.modality.name
    if item.modality.masks_keep_size:
        # A view of a grid shows where its mask lies. Were that another place in every item, an encoder could
        # tell by the shapes alone which inverse belongs to which mask: all items of a size share it.
        name = b""
    key = digest("mask", secret, name, uint(index), modality.encode(), uint(len(item)))
    return keyed_stream(key, f"{modality} {what}")


def _bounds(unit_count: int, share_percent_max: int) -> Span:
    """Return the least and the greatest number of masked units."""
    return -(-SHARE_PERCENT_MIN * unit_count // 100), share_percent_max * unit_count // 100


def _between(stream: Xof, low: int, high: int) -> int:
    return low + stream.below(high - low + 1)


def _end(stream: Xof, unit_count: int) -> Mask:
    low, high = -(-CUT_PERCENT_MIN * unit_count // 100), CUT_PERCENT_MAX * unit_count // 100
    size = _between(stream, low, high)
    return Mask(((unit_count - size, unit_count) if stream.below(2) else (0, size),), unit_count)


def _free_mask(stream: Xof, unit_count: int, bounds: Span) -> Mask:
    spans = _some_of(stream, ((0, unit_count),), _between(stream, *bounds))
    return Mask(_merged(spans), unit_count)


def _related_mask(stream: Xof, first: Mask, bounds: Span) -> Mask:
    """Draw a relation, then masks of that relation until one has few enough spans."""
    wanted = tuple(Relation)[stream.below(len(Relation))]
    inside, outside = first.spans, first.inverse_spans()
    for _ in range(_DRAWS_MAX):
        inside_count, outside_count = _split(stream, wanted, _size(inside), _size(outside), bounds)
        chosen = _some_of(stream, inside, inside_count) + _some_of(stream, outside, outside_count)
        spans = _merged(chosen)
        if len(spans) <= SPANS_MAX:
            return Mask(spans, first.unit_count)
    raise AssertionError(f"no {wanted.value} mask in {_DRAWS_MAX} draws over {first}: the drawing is broken")


def _split(stream: Xof, wanted: Relation, inside: int, outside: int, bounds: Span) -> tuple[int, int]:
    """Draw how many units to take inside and outside mask 0, so that the relation and the share both hold."""
    least, most = bounds
    if wanted is Relation.DISJOINT:
        return 0, _between(stream, least, min(most, outside))
    if wanted is Relation.CROSSING:
        # At least one unit in common, one of mask 0 left out, one of our own.
        common = _between(stream, max(1, least - outside), min(inside, most) - 1)
        return common, _between(stream, max(1, least - common), min(most - common, outside))
    # Nested: any permitted size but that of mask 0; smaller ones lie within it, larger ones hold it.
    size = _between(stream, least, most - 1)
    size += size >= inside
    return (size, 0) if size < inside else (inside, size - inside)


def _some_of(stream: Xof, runs: Sequence[Span], count: int) -> list[Span]:
    """Draw `count` units of some runs, taken as one line without holes, as 1 to 4 spans of that line.

    Uniform given the number of spans. Where a span bridges a hole between runs it comes back in pieces.
    """
    free = _size(runs) - count
    if count == 0 or free == 0:
        return list(runs) if count else []
    spans = _between(stream, 1, min(SPANS_MAX, count, free + 1))
    lengths = _parts(stream, count, spans)
    # One gap before, between and after; the outer two may be empty, hence two units added and taken back.
    gaps = _parts(stream, free + 2, spans + 1)
    pieces: list[Span] = []
    place = -1
    for gap, length in zip(gaps, lengths, strict=False):
        place += gap
        pieces += _pieces(runs, place, place + length)
        place += length
    return pieces


def _pieces(runs: Sequence[Span], start: int, stop: int) -> Iterator[Span]:
    """Yield where places start to stop - 1 of the line of runs lie among the units."""
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
