"""An image as a canonical item: u16 height and width, then RGB bytes row by row."""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
import numpy.typing as npt

from protocol.items import ItemError

PATCH_PIXELS: Final = 16
"""Side of a unit; both sides of an image are multiples of it."""
SIDE_PIXELS_MAX: Final = 128
NEUTRAL: Final = 128
"""What a masked pixel holds in each channel."""

_HEADER: Final = struct.Struct(">HH")


def decode_image(view: bytes) -> npt.NDArray[np.uint8]:
    """The pixels of an item or view as uint8 [height, width, 3], writable. Raises ItemError."""
    if len(view) < _HEADER.size:
        raise ItemError("the image has no header: cut it by node.modalities")
    height, width = _HEADER.unpack_from(view)
    sides = (height, width)
    if not all(PATCH_PIXELS <= side <= SIDE_PIXELS_MAX and side % PATCH_PIXELS == 0 for side in sides):
        raise ItemError(
            f"the image is {height} by {width} pixels: "
            f"sides are multiples of {PATCH_PIXELS} up to {SIDE_PIXELS_MAX}"
        )
    if len(view) != _HEADER.size + height * width * 3:
        raise ItemError(f"the image has {len(view)} bytes, which is not {height} by {width} pixels")
    return np.frombuffer(view, np.uint8, offset=_HEADER.size).reshape(height, width, 3).copy()


def encode_image(pixels: npt.NDArray[np.uint8]) -> bytes:
    """The canonical item of pixels uint8 [height, width, 3] whose sides are those of an item."""
    height, width, _ = pixels.shape
    return _HEADER.pack(height, width) + pixels.tobytes()
