"""Draws docs/images/masks.png, an image and a sound under a mask and its inverse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.datasets import load_sample_image

from node.modalities import decode_view, sample_items
from node.modalities.area import average_areas
from node.modalities.audio_item import audio_coefficients
from node.modalities.image_item import encode_image
from protocol.masks import masks_of
from protocol.modalities import AUDIO, IMAGE, Modality, Units

TARGET = Path(__file__).parent / "images" / "masks.png"
SECRET = bytes(32)
SIDE, GAP = 256, 12
FLOOR_DB = -60

Pixels = npt.NDArray[np.uint8]


def picture() -> Pixels:
    """Two rows of three: whole, mask, inverse; uint8 [height, width, 3]."""
    photo = load_sample_image("flower.jpg")[40:420, 150:530]
    small = average_areas(lambda first, last: photo[first:last], photo.shape[:2], (128, 128))
    rows = [
        [np.asarray(decode_view("image", view)) for view in _views(IMAGE, encode_image(small))],
        [_spectrogram(view) for view in _views(AUDIO, sample_items("audio", count=15)[14])],
    ]
    page = np.full((GAP + 2 * (SIDE + GAP), GAP + 3 * (SIDE + GAP), 3), 252, np.uint8)
    for row, tiles in enumerate(rows):
        for column, tile in enumerate(tiles):
            top, left = GAP + row * (SIDE + GAP), GAP + column * (SIDE + GAP)
            page[top : top + SIDE, left : left + SIDE] = tile.repeat(SIDE // tile.shape[0], axis=0).repeat(
                SIDE // tile.shape[1], axis=1
            )
    return page


def _views(modality: Modality, item: bytes) -> tuple[bytes, bytes, bytes]:
    units = Units.of(modality, item)
    (mask,) = masks_of(SECRET, units, 1)
    return item, mask.part(units), mask.inverse(units)


def _spectrogram(view: bytes) -> Pixels:
    """Loudness of each coefficient in decibels, time to the right, low notes below."""
    loudness = 20 * np.log10(np.abs(audio_coefficients(view)) + 1e-6)
    shade = np.clip((loudness - FLOOR_DB) / -FLOOR_DB, 0, 1)
    grey = (32 + 223 * shade).astype(np.uint8).T[::-1]  # [bins, frames]
    return np.repeat(grey[:, :, None], 3, axis=2)


if __name__ == "__main__":
    Image.fromarray(picture()).quantize(128).save(TARGET, optimize=True)
