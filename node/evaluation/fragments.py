"""Two fragments of an item that must find each other: mask and inverse, a gap and what is around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from blake3 import blake3

from node.evaluation.data import View
from protocol.masks import WORDS_MIN, text_masks

_SECRET: Final = blake3(b"deltamesh evaluation 1").digest()
_GAP_SHARE: Final = (0.2, 0.35)
"""A gap's share of the words, from and to."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Two views that partition an item."""

    part: View
    rest: View
    share: float
    """The part's share of the item, above 0 and below 1."""


def mask_of(view: View) -> Cut | None:
    """The network's mask 0 and its inverse; None for an item too short to have one."""
    assert isinstance(view, str)
    masks = text_masks(_SECRET, view, 1)
    if not masks:
        return None
    return Cut(masks[0].part(view), masks[0].inverse(view), masks[0].share_ppm(view) / 1e6)


def gap_of(view: View) -> Cut | None:
    """One run of a fifth to a third of an item, and what is around it; None where there is no room."""
    assert isinstance(view, str)
    words = view.split(" ")
    if len(words) < WORDS_MIN:
        return None
    start, length = _gap(view.encode(), len(words))
    part, rest = words[start : start + length], words[:start] + words[start + length :]
    inside = sum(len(word.encode()) for word in part)
    return Cut(" ".join(part), " ".join(rest), inside / (inside + sum(len(word.encode()) for word in rest)))


def _gap(item: bytes, units: int) -> tuple[int, int]:
    """Where a gap begins and how long it is, drawn by the item; never at either end where there is room."""
    stream = blake3(_SECRET + item).digest(length=16)
    shortest, longest = (max(1, round(share * units)) for share in _GAP_SHARE)
    length = shortest + int.from_bytes(stream[:8], "big") % (longest - shortest + 1)
    starts = max(1, units - length - 1)
    return min(1, units - length) + int.from_bytes(stream[8:], "big") % starts, length
