"""Exact area averaging: an image at another size, in whole numbers, the same on every machine.

Each new pixel is the mean of the old image over its own area, old pixels counting by the part of them that
lies inside. Where the new image is larger by a whole factor that repeats pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

_BAND_PIXELS_MAX = 1 << 18
"""Old pixels that are held as float64 at a time."""


def average_areas(
    rows_between: Callable[[int, int], npt.NDArray[np.generic]],
    old: tuple[int, int],
    new: tuple[int, int],
    *,
    scale: int = 1,
) -> npt.NDArray[np.uint8]:
    """The image at `new` (height, width) as uint8 [height, width, channels], halves rounded up.

    `rows_between(first, last)` gives rows of the old image [rows, width, channels] in whole numbers below
    2^16, which are divided by `scale`. Sums stay below 2^53 for images of up to 2^36 pixels, so that float64,
    whose products are fast, adds them exactly and in any order.
    """
    (old_height, old_width), (new_height, new_width) = old, new
    sums: npt.NDArray[np.float64] | None = None  # [new_height, old_width * channels]
    for first, last in _bands(old_height, old_width):
        rows = rows_between(first, last).reshape(last - first, -1).astype(np.float64)
        if sums is None:
            sums = np.zeros((new_height, rows.shape[1]))
        first_new, last_new = first * new_height // old_height, -(-last * new_height // old_height)
        down = _overlaps(first, last, first_new, last_new, old_height, new_height)  # [new rows, rows]
        sums[first_new:last_new] += down @ rows
    assert sums is not None
    across = _overlaps(0, old_width, 0, new_width, old_width, new_width)  # [new_width, old_width]
    narrow = across @ sums.reshape(new_height, old_width, -1)  # [new_height, new_width, channels]
    divisor = old_height * old_width * scale
    return ((2 * narrow.astype(np.int64) + divisor) // (2 * divisor)).astype(np.uint8)


def _bands(height: int, width: int) -> Iterator[tuple[int, int]]:
    rows = max(1, _BAND_PIXELS_MAX // width)
    for first in range(0, height, rows):
        yield first, min(first + rows, height)


def _overlaps(
    first: int, last: int, first_new: int, last_new: int, old: int, new: int
) -> npt.NDArray[np.float64]:
    """How much of old lines first to last - 1 lies in each new one of a range, [new, old].

    Of `old` lines that become `new`; in units that make an old line `new` wide and a new one `old`.
    """
    begins = np.arange(first, last)[None, :] * new
    new_begins = np.arange(first_new, last_new)[:, None] * old
    shared = np.minimum(begins + new, new_begins + old) - np.maximum(begins, new_begins)
    overlaps: npt.NDArray[np.float64] = np.maximum(shared, 0).astype(np.float64)
    return overlaps
