"""Masks to train with: the protocol's own, of any modality, and gaps in a text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from node.training.models import View
from protocol.masks import masks_of
from protocol.modalities import MODALITIES, Units

GAP_WORDS_MAX: Final = 6
_PPM: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Split:
    """An item in two parts that make it up."""

    mask: View
    inverse: View
    share: float
    """Of the mask in its item."""


def split_of(modality: str, item: View, draw: np.random.Generator) -> Split:
    """The item by a mask of the protocol, drawn as for mask 0; one too short to mask is both of its parts."""
    data = item.encode() if isinstance(item, str) else item
    units = Units.of(MODALITIES[modality], data)
    masks = masks_of(draw.bytes(32), units, 1)
    if not masks:
        return Split(item, item, 0.5)
    part, rest = masks[0].part(units), masks[0].inverse(units)
    share = masks[0].share_ppm(units) / _PPM
    if modality == "text":
        return Split(part.decode(), rest.decode(), share)
    return Split(part, rest, share)


def gap_of(text: str, draw: np.random.Generator) -> tuple[str, str]:
    """(the text without a span of 1 to GAP_WORDS_MAX words, that span); at most half of the words go."""
    words = text.split(" ")
    if len(words) < 2:
        return text, text
    size = int(draw.integers(1, min(GAP_WORDS_MAX, len(words) // 2) + 1))
    start = int(draw.integers(0, len(words) - size + 1))
    return " ".join(words[:start] + words[start + size :]), " ".join(words[start : start + size])
