"""Probes: fragments that come back in wave 3, slightly cut, to see whether their committed answers were bent.

An encoder that knew a full view too early bends the answer to a fragment towards it. The same fragment,
less a few units, looks like one more mask: what it then answers honestly lies beside the bent answer, and the
difference points at the full view. Which fragments come back, and which units they lose, is drawn from the
mask secret, so that attesters draw them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from protocol.hashing import Xof, digest, keyed_stream
from protocol.items import item_id
from protocol.masks import Mask
from protocol.modalities import Span, Units, spans_of

PROBE_SHARE_PPM: Final = 12_500
"""Of the views of a batch's scored items."""
UNITS_A_CUT: Final = 40
"""Of so many units, words of text, begun or complete, a probe lacks one."""
UNITS_DRAWN: Final = 3
"""The shortest of so many is the one it lacks: the less a missing unit says, the smaller a bend shows."""
INVERSES_OF: Final = 4
"""All but one probe of so many are of the inverse: longer, and the only part that can be forged in wave 2."""
FRAGMENT_UNITS_MIN: Final = 4
"""A shorter fragment would be another item without a unit. Every masked item has one as long."""

_PPM: Final = 1_000_000


def probe_count(scored_items: int, masks_per_item: int) -> int:
    """How many probes a batch has: a share of its scored items' views, rounded up; one an item at most."""
    views = scored_items * (1 + 2 * masks_per_item)
    return min(scored_items, -(-views * PROBE_SHARE_PPM // _PPM))


def probed_items(secret: bytes, scored: list[int], masks_per_item: int) -> list[int]:
    """Which items of a batch have a fragment that comes back, of the places of the scored ones; ascending."""
    order = keyed_stream(secret, "probed items").shuffle(scored)
    return sorted(order[: probe_count(len(scored), masks_per_item)])


def probe_view(secret: bytes, item: Units, mask: Mask) -> tuple[bool, bytes]:
    """Whether the inverse of mask 0 comes back (else the mask), and the view of what is left of its units.

    The inverse is drawn three times as often; where the one drawn has under FRAGMENT_UNITS_MIN units it is
    the other.
    """
    parts = tuple(_units(spans) for spans in (mask.spans, mask.inverse_spans()))
    stream = keyed_stream(digest("probe", secret, item_id(item.data)), "probe words")
    drawn = stream.below(INVERSES_OF) > 0
    short = len(parts[drawn]) < FRAGMENT_UNITS_MIN
    of_inverse = drawn != short
    left = _cut(stream, parts[of_inverse], item.sizes)
    return of_inverse, item.keep(spans_of(left))


def _units(spans: Sequence[Span]) -> list[int]:
    return [unit for start, stop in spans for unit in range(start, stop)]


def _cut(stream: Xof, units: Sequence[int], sizes: Sequence[int]) -> list[int]:
    """The units in their order, less one for every UNITS_A_CUT, each the smallest of UNITS_DRAWN."""
    left = list(units)
    for _ in range(-(-len(units) // UNITS_A_CUT)):
        drawn = [left[stream.below(len(left))] for _ in range(UNITS_DRAWN)]
        left.remove(min(drawn, key=lambda unit: sizes[unit]))
    return left
