"""An image as a canonical item: u16 height and width, then RGB bytes row by row."""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
import numpy.typing as npt

from protocol.modalities import IMAGE
from protocol.modalities.dense import HEADER_BYTES

PATCH_PIXELS: Final = IMAGE.rows.block
"""Side of a unit; both sides of an item are multiples of it."""
SIDE_PIXELS_MAX: Final = IMAGE.rows.most
NEUTRAL: Final = IMAGE.neutral
"""What a masked pixel holds in each channel."""

_HEADER: Final = struct.Struct(">HH")


def decode_image(view: bytes) -> npt.NDArray[np.uint8]:
    """The pixels of an item or view as uint8 [height, width, 3], writable. Raises ItemError."""
    IMAGE.check(view)
    return np.frombuffer(view, np.uint8, offset=HEADER_BYTES).reshape(*IMAGE.shape(view), 3).copy()


def encode_image(pixels: npt.NDArray[np.uint8]) -> bytes:
    """The canonical item of pixels uint8 [height, width, 3] whose sides are those of an item."""
    height, width, _ = pixels.shape
    return _HEADER.pack(height, width) + pixels.tobytes()
