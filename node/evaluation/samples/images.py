"""Labelled images that need no network: scikit-learn's handwritten digits, and pieces of its two photos."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.evaluation.data import LabelledData, LabelledItem
from node.modalities.image_item import encode_image

SIDE_PIXELS: Final = 64
ITEMS_PER_CLASS_MAX: Final = 36
_GROUP_COLUMNS: Final = 2
"""Columns of pieces of a photo that stay together: what is side by side looks alike."""


def image_sample() -> LabelledData:
    """Images of 64 by 64: ten digits, each pixel of theirs 8 by 8, and pieces of a temple and of a flower."""
    items = tuple(LabelledItem(encode_image(pixels), label, group) for pixels, label, group in _images())
    return LabelledData("scikit-learn's digits and photos", "image", items)


def _images() -> Iterator[tuple[NDArray[np.uint8], str, str]]:
    from sklearn.datasets import load_digits, load_sample_images

    digits = load_digits()
    for digit in range(10):
        for place in np.flatnonzero(digits.target == digit)[:ITEMS_PER_CLASS_MAX]:
            yield enlarged(digits.images[place]), f"digit {digit}", f"digit {place}"
    photos = load_sample_images()
    for name, photo in zip(photos.filenames, photos.images, strict=True):
        label = name.rpartition("/")[2].partition(".")[0]
        yield from ((piece, label, f"{label} {column}") for piece, column in _pieces(photo))


def enlarged(digit: NDArray[np.floating]) -> NDArray[np.uint8]:
    """A digit [8, 8] of 0 to 16 as grey pixels [64, 64, 3], each of its own a square of 8 by 8."""
    grey = np.rint(np.asarray(digit) * (255 / 16)).astype(np.uint8)
    large = grey.repeat(SIDE_PIXELS // 8, axis=0).repeat(SIDE_PIXELS // 8, axis=1)
    return np.repeat(large[:, :, None], 3, axis=2)


def _pieces(photo: NDArray[np.uint8]) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Pieces that do not overlap, from all over the photo, and which columns they are of."""
    rows, columns = photo.shape[0] // SIDE_PIXELS, photo.shape[1] // SIDE_PIXELS
    stride = max(1.0, rows * columns / ITEMS_PER_CLASS_MAX)
    for turn in range(min(rows * columns, ITEMS_PER_CLASS_MAX)):
        column, row = divmod(int(turn * stride), rows)
        top, left = row * SIDE_PIXELS, column * SIDE_PIXELS
        piece = photo[top : top + SIDE_PIXELS, left : left + SIDE_PIXELS]
        yield piece, column // _GROUP_COLUMNS
