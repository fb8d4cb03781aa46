"""Anchors of any modality: the views on which encoders are aligned, offline and the same everywhere."""

from __future__ import annotations

import struct
from functools import cache
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Final

from blake3 import blake3

from node.encoders.anchors import anchor_texts, anchors_digest
from node.encoders.encoder import View
from protocol.masks import masks_of
from protocol.modalities import MODALITIES, Units

ANCHOR_ITEMS: Final = 700
"""Samples of a modality other than text; each is a whole view, a mask of it, and the inverse."""
_SECRET: Final = blake3(b"deltamesh anchors 2").digest()


def anchor_views(modality: str) -> list[View]:
    """The anchors of a modality, whole items and fragments, in a stable order.

    Texts are documentation strings; others are the part "anchors" of `node.modalities.sample_items`, and one
    mask of each with its inverse: most views are fragments, and those lie elsewhere than whole items. Raises
    EncoderError or CorpusError where the standard library came without its sources.
    """
    return list(_anchor_views(modality))


def anchor_views_digest(modality: str) -> bytes:
    """Names what was fitted on the anchors: cheap, by what they are made from."""
    if modality == "text":
        return anchors_digest()
    from node.modalities import samples

    # Samples are the same for one version of these three.
    made_by = (modality, ANCHOR_ITEMS, python_version(), version("numpy"), version("scikit-learn"))
    hasher = blake3(repr(made_by).encode() + _SECRET)
    for path in sorted(Path(samples.__file__).parent.glob("*.py")):
        hasher.update(blake3(path.read_bytes()).digest())
    return hasher.digest()


def small_view(modality: str) -> View:
    """A view of no content, for a built-in encoder that is asked for nothing but to load."""
    return _EMPTY_VIEWS[modality]


_EMPTY_VIEWS: Final[dict[str, View]] = {
    "text": "a",
    "image": struct.pack(">HH", 16, 16) + bytes(16 * 16 * 3),
    "audio": struct.pack(">HH", 8, 256) + bytes(8 * 256 * 2),
    "series": struct.pack(">HH", 8, 1) + bytes(8 * 2),
    "bytes": b"a",
}


@cache
def _anchor_views(modality: str) -> tuple[View, ...]:
    if modality == "text":
        return tuple(anchor_texts())
    from node.modalities import sample_items

    views: list[View] = []
    for item in sample_items(modality, part="anchors", count=ANCHOR_ITEMS):
        units = Units.of(MODALITIES[modality], item)
        # A secret of its own each: items of a grid under one secret are all masked in the same places.
        (mask,) = masks_of(blake3(_SECRET + item).digest(), units, 1)
        views += [item, mask.part(units), mask.inverse(units)]
    return tuple(views)
