"""Image files: PNG, JPEG, WebP and the first frame of GIF, of any size, as one item each."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from node.modalities.area import average_areas
from node.modalities.file_door import FileError, FileKind, kind_of, open_file, read_head, reason_of
from node.modalities.image_item import NEUTRAL, PATCH_PIXELS, SIDE_PIXELS_MAX, encode_image

if TYPE_CHECKING:
    from PIL.Image import Image

FILE_BYTES_MAX: Final = 64 << 20
PIXELS_MAX: Final = {
    FileKind.PNG: 50_000_000,
    FileKind.JPEG: 50_000_000,
    FileKind.GIF: 50_000_000,
    FileKind.WEBP: 12_000_000,
}
"""Pillow holds 4 bytes a pixel, 200 MB at most; of WebP it holds 16."""
SIDE_MAX: Final = 32_768
ASPECT_MAX: Final = 12
"""Of the longer side to the shorter; an item has 8 to 1 at most, beyond this it is another picture."""
PATCHES_MIN: Final = 8
"""Fewer patches are too few to mask: a smaller image is enlarged."""

KINDS: Final = {
    FileKind.PNG: "PNG",
    FileKind.JPEG: "JPEG",
    FileKind.GIF: "GIF",
    FileKind.WEBP: "WEBP",
}
_ORIENTATION_TAG: Final = 0x0112
# Orientation n of EXIF: flip rows, flip columns, then swap rows and columns.
_TURNS: Final = {
    2: (False, True, False),
    3: (True, True, False),
    4: (True, False, False),
    5: (False, False, True),
    6: (True, False, True),
    7: (True, True, True),
    8: (False, True, True),
}
_DAMAGE: Final = (OSError, ValueError, SyntaxError, EOFError, KeyError, TypeError, IndexError, struct.error)
"""What Pillow's readers raise for files that are not as they should be."""


def image_items(path: Path, items_max: int | None = None) -> list[bytes]:
    """The image of a file as one item, whatever the bound. Raises FileError.

    It is turned as its EXIF orientation says, laid over the neutral grey where it is transparent, and
    averaged over areas (`area`) to `item_sides`. A JPEG of 1,024 pixels or more on both sides is
    decoded at a half, quarter or eighth.
    """
    with open_file(path, FILE_BYTES_MAX) as (file, _):
        kind = kind_of(read_head(file))
        if kind not in KINDS:
            raise FileError(f"{path} is {kind}, not an image: use PNG, JPEG, WebP or GIF.")
        return [encode_image(_pixels(path, file, kind))]


def item_sides(height: int, width: int) -> tuple[int, int]:
    """Height and width of the item of an image of that size.

    The longer side is scaled down to SIDE_PIXELS_MAX where it is longer; both are rounded to multiples of
    PATCH_PIXELS. Where that leaves fewer than PATCHES_MIN patches the image is enlarged first, by the
    smallest whole factor that gives them.
    """
    factor = 0
    while True:
        factor += 1
        longer = max(factor * max(height, width), SIDE_PIXELS_MAX)
        rows, columns = (_patches(factor * side, longer) for side in (height, width))
        if rows * columns >= PATCHES_MIN:
            return rows * PATCH_PIXELS, columns * PATCH_PIXELS


def _patches(side: int, longer: int) -> int:
    """Patches of a side where `longer` pixels become SIDE_PIXELS_MAX, halves rounded up, at least one."""
    in_patches = SIDE_PIXELS_MAX // PATCH_PIXELS
    return max(1, (2 * side * in_patches + longer) // (2 * longer))


def _pixels(path: Path, file: BinaryIO, kind: FileKind) -> npt.NDArray[np.uint8]:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Its warnings are of sizes, which are judged below, and of metadata, which are not used.
            warnings.simplefilter("ignore")
            with Image.open(file, formats=[KINDS[kind]]) as image:
                _insist_on_size(path, PIXELS_MAX[kind], *image.size)
                return _averaged(image)
    except (Image.DecompressionBombError, MemoryError) as error:
        raise FileError(f"{path} is too large to decode ({reason_of(error)}): scale it down.") from error
    except _DAMAGE as error:
        if isinstance(error, FileError):
            raise
        raise FileError(
            f"{path} is {kind}, but damaged or cut off ({reason_of(error)}): save or copy it again."
        ) from error


def _insist_on_size(path: Path, pixels_max: int, width: int, height: int) -> None:
    if max(width, height) > SIDE_MAX or width * height > pixels_max:
        raise FileError(
            f"{path} is {width:,} by {height:,} pixels; {SIDE_MAX:,} on a side and {pixels_max:,} together "
            "are decoded at most: scale it down."
        )
    if max(width, height) > ASPECT_MAX * min(width, height):
        raise FileError(
            f"{path} is {width:,} by {height:,} pixels, longer than {ASPECT_MAX} times its other side: "
            "cut it into parts."
        )


def _averaged(image: Image) -> npt.NDArray[np.uint8]:
    orientation = _orientation(image)
    full_width, full_height = image.size
    # Lets the JPEG decoder scale by an eighth to a half, with at least 4 pixels left of each side of one new.
    image.draft("RGB", (4 * SIDE_PIXELS_MAX, 4 * SIDE_PIXELS_MAX))
    image.load()
    width, height = image.size
    # Pillow would clip 16 bits of grey to 8; transparency beside them is one grey value, and is left.
    deep = image.mode.startswith("I;16")
    mode = "RGBA" if image.has_transparency_data and not deep else "RGB"

    def rows_between(first: int, last: int) -> npt.NDArray[np.generic]:
        band = image.crop((0, first, width, last))
        if deep:
            grey = np.asarray(band) >> 8
            return np.repeat(grey[:, :, None], 3, axis=2)
        rows = np.asarray(band.convert(mode))
        if mode == "RGB":
            return rows
        alpha = rows[:, :, 3:].astype(np.uint16)
        return rows[:, :, :3] * alpha + (255 - alpha) * np.uint16(NEUTRAL)

    sides = item_sides(full_height, full_width)
    small = average_areas(rows_between, (height, width), sides, scale=255 if mode == "RGBA" else 1)
    flip_rows, flip_columns, swap = _TURNS.get(orientation, (False, False, False))
    small = small[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
    return np.ascontiguousarray(small.swapaxes(0, 1) if swap else small)


def _orientation(image: Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except _DAMAGE:
        # Damaged metadata leave the picture as it is stored; its pixels may be sound.
        return 1
