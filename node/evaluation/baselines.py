"""What figures are to be held against: answers that know nothing, and answers that know only the bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from node.encoders.encoder import View, unit_rows
from node.evaluation.data import bytes_of
from node.modalities import decode_view
from node.modalities.image_item import NEUTRAL
from protocol.modalities.dense import HEADER_BYTES

Embed = Callable[[Sequence[View]], NDArray[np.float32]]
"""From views to rows [n, d]; NaN where the model returned no numbers."""

RANDOM_DIMENSIONS: Final = 256
BUCKETS: Final = 1_024
_GRIDS: Final = ("image", "audio", "series")
_RUN_BYTES: Final = 3
_MULTIPLIERS: Final = (0x9E3779B1, 0x85EBCA6B, 0xC2B2AE35)
"""Odd 32-bit constants, of which each byte of a run gets one."""


def random_rows(views: Sequence[View]) -> NDArray[np.float32]:
    """Numbers from the digest of each view, [n, 256] at unit norm: what chance reaches."""
    digests = [blake3(bytes_of(view)).digest(length=4 * RANDOM_DIMENSIONS) for view in views]
    entries = np.frombuffer(b"".join(digests), dtype="<u4").astype(np.float64) / 2.0**31 - 1
    return unit_rows(entries.reshape(len(views), RANDOM_DIMENSIONS).astype(np.float32))


def byte_hash(views: Sequence[View]) -> NDArray[np.float32]:
    """Signed counts of runs of three bytes in 1,024 buckets, damped, [n, 1024] at unit norm.

    Feature hashing (Weinberger et al., 2009): knows which bytes there are, and nothing of what they mean.
    """
    rows = np.zeros((len(views), 2 * BUCKETS), dtype=np.float32)
    for row, view in zip(rows, views, strict=True):
        data = np.frombuffer(bytes_of(view), dtype=np.uint8).astype(np.uint32)
        runs = np.zeros(max(1, len(data) - _RUN_BYTES + 1), dtype=np.uint32)
        for shift, multiplier in enumerate(_MULTIPLIERS):
            part = data[shift : shift + len(runs)] + np.uint32(1)
            runs[: len(part)] += part * np.uint32(multiplier)
        slots = (runs ^ (runs >> np.uint32(15))) * np.uint32(0x2C1B3C6D) >> np.uint32(21)
        row += np.bincount(slots, minlength=2 * BUCKETS)
    counts = np.sqrt(rows)
    return unit_rows(counts[:, :BUCKETS] - counts[:, BUCKETS:])


def raw_values(modality: str) -> Embed:
    """The numbers a model is given, in a row, less the neutral value: pixels, samples, steps of channels.

    Only for views that all have one shape.
    """
    neutral = NEUTRAL if modality == "image" else 0.0

    def embed(views: Sequence[View]) -> NDArray[np.float32]:
        arrays = [np.asarray(decode_view(modality, view), dtype=np.float32).ravel() for view in views]
        return unit_rows(np.stack(arrays) - np.float32(neutral))

    return embed


def baselines_of(modality: str, items: Sequence[View]) -> dict[str, Embed]:
    """Baselines for some items, by the names tables show."""
    found: dict[str, Embed] = {"random rows": random_rows, "byte hash": byte_hash}
    # The header of a grid says its shape.
    shapes = {(bytes_of(view)[:HEADER_BYTES], len(view)) for view in items}
    if modality in _GRIDS and len(shapes) == 1:
        found["raw values"] = raw_values(modality)
    return found
