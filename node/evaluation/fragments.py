"""Two fragments of an item that must find each other: mask and inverse, a gap and what is around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from blake3 import blake3

from node.encoders.encoder import View
from node.evaluation.data import bytes_of
from protocol.masks import UNITS_MIN, masks_of
from protocol.modalities import MODALITIES, Units

_SECRET: Final = blake3(b"deltamesh evaluation 1").digest()
_GAP_SHARE: Final = (0.2, 0.35)
"""A gap's share of the units, from and to."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Two views that partition an item."""

    part: View
    rest: View
    share: float
    """The part's share of the item, above 0 and below 1."""


def mask_of(modality: str, view: View) -> Cut | None:
    """The network's mask 0 and its inverse; None for an item too small to have one. Raises ItemError."""
    item = Units.of(MODALITIES[modality], bytes_of(view))
    masks = masks_of(_SECRET, item, 1)
    if not masks:
        return None
    part, rest = masks[0].part(item), masks[0].inverse(item)
    return Cut(_as(view, part), _as(view, rest), masks[0].share_ppm(item) / 1e6)


def gap_of(modality: str, view: View) -> Cut | None:
    """One run of a fifth to a third of an item, and what is around it; None where there is no room.

    Raises ItemError.
    """
    item = Units.of(MODALITIES[modality], bytes_of(view))
    units = len(item)
    if units < UNITS_MIN:
        return None
    start, stop = _gap(item.data, units)
    around = [(a, b) for a, b in ((0, start), (stop, units)) if a < b]
    part, rest = item.keep([(start, stop)]), item.keep(around)
    return Cut(_as(view, part), _as(view, rest), item.share_ppm([(start, stop)]) / 1e6)


def _gap(data: bytes, units: int) -> tuple[int, int]:
    """Where a gap begins and ends, drawn by the item; something is left on either side."""
    stream = blake3(_SECRET + data).digest(length=16)
    shortest, longest = (max(1, round(share * units)) for share in _GAP_SHARE)
    length = shortest + int.from_bytes(stream[:8], "big") % (longest - shortest + 1)
    start = 1 + int.from_bytes(stream[8:], "big") % (units - length - 1)
    return start, start + length


def _as(view: View, data: bytes) -> View:
    """A fragment as its item is given: text or bytes."""
    return data.decode() if isinstance(view, str) else data
