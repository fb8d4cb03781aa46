"""Images from scikit-learn: cuts of its two photographs at several scales, and its handwritten digits."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from node.modalities.area import average_areas
from node.modalities.image_item import encode_image
from node.modalities.samples.part import SEEDS, Part

SIDE_PIXELS: Final = 64
_CUT_PIXELS: Final = (64, 80, 96, 128, 160, 192)
"""Sides of the squares that are cut out."""
_COLUMNS: Final[dict[Part, tuple[int, int]]] = {"anchors": (0, 200), "items": (216, 640)}
"""Of the photographs, which are 640 wide."""
_CUTS: Final[dict[Part, int]] = {"anchors": 1000, "items": 2000}
_CONTRAST_MIN: Final = 12.0
"""A cut whose pixels deviate less is sky."""
_INK_MAX: Final = 16
"""Of the digits, whose pixels are 0 to 16."""


def photo_items(part: Part) -> Iterator[bytes]:
    """Images of 64 by 64 pixels. A third of the digits are anchors; the photographs are divided by columns.

    Cuts are turned, mirrored and given other colour channels at random, so that neighbours differ.
    """
    from sklearn.datasets import load_digits, load_sample_images

    draw = random.Random(f"deltamesh photos {SEEDS[part]}")
    photos = [photo[:, slice(*_COLUMNS[part])] for photo in load_sample_images().images]
    digits = load_digits().images
    own = [index for index in range(len(digits)) if (index % 3 == 0) == (part == "anchors")]
    order: list[int | None] = [*own, *[None] * _CUTS[part]]
    draw.shuffle(order)
    for index in order:
        yield encode_image(_cut(draw, photos) if index is None else _digit(digits[index]))


def _cut(draw: random.Random, photos: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    while True:
        photo = draw.choice(photos)
        side = draw.choice(_CUT_PIXELS)
        top, left = draw.randrange(photo.shape[0] - side + 1), draw.randrange(photo.shape[1] - side + 1)
        cut = photo[top : top + side, left : left + side]
        if cut[::4, ::4].std() >= _CONTRAST_MIN:
            break
    small = average_areas(lambda first, last: cut[first:last], (side, side), (SIDE_PIXELS, SIDE_PIXELS))
    turned = np.rot90(small, draw.randrange(4))
    mirrored = turned[:, :: draw.choice((1, -1))]
    return mirrored[:, :, draw.sample(range(3), 3)]


def _digit(ink: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    grey = (ink * (255 / _INK_MAX)).astype(np.uint8)
    factor = SIDE_PIXELS // len(grey)
    return np.repeat(grey.repeat(factor, axis=0).repeat(factor, axis=1)[:, :, None], 3, axis=2)
