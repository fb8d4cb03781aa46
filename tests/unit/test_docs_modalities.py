"""docs/modalities.md has the limits and figures of the code."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from node.modalities import (
    audio_file,
    audio_item,
    csv_table,
    file_door,
    image_file,
    npy_array,
    parquet_pages,
    parquet_table,
    raw_file,
    series_file,
    series_item,
    source,
)
from node.modalities.samples import photos, programs, signals, sounds
from protocol.masks import UNITS_MIN
from tests.support.documents import ROOT, read
from tests.support.hostile_files import ATTACKS

PAGE = read("docs/modalities.md")
FLAT = " ".join(PAGE.split())


def row(first: str) -> str:
    """The rest of the table row that begins with a cell."""
    found = re.search(rf"^\| {re.escape(first)} \| (.*) \|$", PAGE, re.MULTILINE)
    assert found is not None, first
    return found[1]


def mib(size_bytes: int) -> str:
    return f"{size_bytes >> 20:,} MiB"


def test_limits__are_those_of_the_code() -> None:
    assert row("items of one source") == mib(source.ITEMS_BYTES_MAX)
    assert row("files of a folder") == f"{source.FILES_MAX:,}"
    assert row("image file") == mib(image_file.FILE_BYTES_MAX)
    assert (
        row("image") == f"{image_file.SIDE_MAX:,} pixels a side, {image_file.ASPECT_MAX} times its other side"
    )
    kinds = file_door.FileKind
    pixels = {image_file.PIXELS_MAX[kind] for kind in (kinds.PNG, kinds.JPEG, kinds.GIF)}
    assert {row("pixels of a PNG, JPEG or GIF")} == {f"{count:,}" for count in pixels}
    assert row("pixels of a WebP") == f"{image_file.PIXELS_MAX[kinds.WEBP]:,}"
    assert row("sound file") == mib(audio_file.FILE_BYTES_MAX)
    low, high = audio_file.RATES_HZ
    assert row("sound").startswith(
        f"{audio_file.DURATION_S_MAX:,} s, {audio_file.CHANNELS_MAX} channels, {low:,} to {high:,} Hz"
    )
    assert row("series file") == mib(series_file.FILE_BYTES_MAX)
    assert row("series") == (
        f"{npy_array.VALUES_MAX:,} values, {series_item.CHANNELS_MAX} channels, "
        f"at least {series_item.SPAN_STEPS} steps"
    )
    assert row("a line of CSV at the start") == f"{csv_table.LINE_BYTES_MAX:,} bytes"
    assert row("footer of Parquet") == mib(parquet_table.FOOTER_BYTES_MAX)
    assert row("page of Parquet, unpacked") == mib(parquet_pages.PAGE_BYTES_MAX)
    assert row("raw file") == mib(raw_file.FILE_BYTES_MAX)


def test_rules__have_the_figures_of_the_code() -> None:
    for told in (
        f"Windows of {series_file.WINDOW_STEPS} steps",
        f"A gap of up to {series_file.GAP_STEPS_MAX} missing values",
        f"at least {UNITS_MIN} units",
        f"fewer than {image_file.PATCHES_MIN} patches",
        f"round(32767 c / {audio_item.COEFFICIENT_MAX:.0f})",
        f"round({series_item.STEPS_PER_DEVIATION} x)",
        f"Pieces below {20 * np.log10(audio_file.SILENCE_RMS_MAX):.0f} dB",
        f"A JPEG whose shorter side has {8 * image_file.SIDE_PIXELS_MAX:,} pixels or more",
        f"{len(ATTACKS)} in all",
    ):
        assert told in FLAT, told


@pytest.mark.slow
def test_samples__are_as_many_as_the_page_says() -> None:
    from node.modalities import sample_items

    for modality in ("image", "audio", "series", "bytes"):
        cells = PAGE.rsplit(f"\n| `{modality}` | ", 1)[1].split("\n")[0].split(" | ")
        assert cells[1:3] == [f"{len(sample_items(modality, part=part)):,}" for part in ("items", "anchors")]


def test_samples__have_the_shape_the_page_says() -> None:
    assert f"| {photos.SIDE_PIXELS} x {photos.SIDE_PIXELS} pixels |" in PAGE
    assert f"| {sounds.FRAMES} frames |" in PAGE
    assert f"{signals.STEPS} steps, {signals.CHANNELS} channels" in PAGE
    assert f"{programs.PIECE_BYTES:,} bytes" in PAGE


def test_picture_of_masks__is_whole() -> None:
    with Image.open(ROOT / "docs" / "images" / "masks.png") as picture:
        picture.load()
        assert picture.size == (816, 548)
