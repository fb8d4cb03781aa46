"""Images moved a little: labels say what is in them, not where."""

from __future__ import annotations

from typing import Final

import numpy as np

from node.modalities import decode_view
from node.modalities.image_item import encode_image

SHIFT_SHARE: Final = 0.125
"""Of a side, at most."""


def shifted(item: bytes, draw: np.random.Generator) -> bytes:
    """The image moved by up to SHIFT_SHARE of its sides; what comes in repeats the edge."""
    pixels = np.asarray(decode_view("image", item), np.uint8)  # [h, w, 3]
    height, width = pixels.shape[:2]
    down, right = (round(side * SHIFT_SHARE) for side in (height, width))
    top, left = int(draw.integers(0, 2 * down + 1)), int(draw.integers(0, 2 * right + 1))
    wide = np.pad(pixels, ((down, down), (right, right), (0, 0)), mode="edge")
    return encode_image(np.ascontiguousarray(wide[top : top + height, left : left + width]))
