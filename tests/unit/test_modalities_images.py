"""Image files become items by area averaging in whole numbers, whatever their size, mode and orientation."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from node.modalities import items_of_file
from node.modalities.area import average_areas
from node.modalities.image_file import ASPECT_MAX, PATCHES_MIN, image_items, item_sides
from node.modalities.image_item import decode_image
from protocol.modalities import IMAGE

SEEDS = st.integers(0, 2**32 - 1)
Pixels = npt.NDArray[np.uint8]


def noise(seed: int, height: int, width: int, channels: int = 3) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def averaged(pixels: Pixels, sides: tuple[int, int]) -> Pixels:
    return average_areas(lambda first, last: pixels[first:last], pixels.shape[:2], sides)


def averaged_by_fractions(pixels: Pixels, sides: tuple[int, int]) -> Pixels:
    """Each new pixel by its definition, in exact fractions."""
    new = np.empty((*sides, pixels.shape[2]), np.uint8)
    for place in np.ndindex(*sides):
        shares = []
        for side in (0, 1):
            scale = Fraction(pixels.shape[side], sides[side])
            begin, end = place[side] * scale, (place[side] + 1) * scale
            shares.append(
                [max(Fraction(0), min(end, n + 1) - max(begin, n)) for n in range(pixels.shape[side])]
            )
        for channel in range(pixels.shape[2]):
            total = sum(
                down * across * int(pixels[row, column, channel])
                for row, down in enumerate(shares[0])
                for column, across in enumerate(shares[1])
                if down and across
            )
            new[(*place, channel)] = int(total / (sum(shares[0]) * sum(shares[1])) + Fraction(1, 2))
    return new


@settings(max_examples=25)
@given(SEEDS, *[st.integers(1, 9)] * 4)
def test_average_areas__is_the_exact_mean_over_each_area(
    seed: int, height: int, width: int, rows: int, columns: int
) -> None:
    pixels = noise(seed, height, width, 1)
    assert np.array_equal(averaged(pixels, (rows, columns)), averaged_by_fractions(pixels, (rows, columns)))


@given(SEEDS, st.integers(1, 300), st.integers(1, 30))
def test_average_areas__does_not_depend_on_the_bands_it_is_read_in(seed: int, height: int, band: int) -> None:
    pixels = noise(seed, height, 20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("node.modalities.area._BAND_PIXELS_MAX", 20 * band)
        in_bands = averaged(pixels, (16, 16))
    assert np.array_equal(in_bands, averaged(pixels, (16, 16)))


@given(SEEDS, st.integers(1, 4))
def test_average_areas__enlarges_by_whole_factors_by_repeating_pixels(seed: int, factor: int) -> None:
    pixels = noise(seed, 5, 7)
    enlarged = pixels.repeat(factor, axis=0).repeat(factor, axis=1)
    assert np.array_equal(averaged(pixels, (5 * factor, 7 * factor)), enlarged)


@given(st.integers(1, 40_000), st.floats(1 / ASPECT_MAX, ASPECT_MAX))
def test_item_sides__are_those_of_an_item_with_patches_enough(height: int, aspect: float) -> None:
    width = max(1, round(height * aspect))
    rows, columns = item_sides(height, width)
    IMAGE.check(rows.to_bytes(2, "big") + columns.to_bytes(2, "big") + bytes(rows * columns * 3))
    assert rows * columns >= PATCHES_MIN * 256
    assert item_sides(width, height) == (columns, rows)


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        ((128, 128), (128, 128)),
        ((427, 640), (80, 128)),
        ((4000, 3000), (128, 96)),
        ((8, 8), (48, 48)),
        ((64, 48), (64, 48)),
        ((10, 120), (16, 128)),
    ],
)
def test_item_sides__keep_the_aspect_in_steps_of_a_patch(
    sides: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert item_sides(*sides) == expected


@settings(max_examples=25, deadline=None)
@given(
    SEEDS,
    st.integers(1, 200),
    st.floats(0.2, 5),
    st.sampled_from(["RGB", "RGBA", "L", "LA", "P", "1", "I;16"]),
)
def test_image_items__are_canonical_whatever_size_and_mode(
    tmp_path_factory: pytest.TempPathFactory, seed: int, height: int, aspect: float, mode: str
) -> None:
    width = max(1, round(height * aspect))
    path = tmp_path_factory.mktemp("image") / "a.png"
    if mode == "I;16":
        Image.fromarray(noise(seed, height, width, 2).view(np.uint16)[:, :, 0]).save(path)
    else:
        Image.fromarray(noise(seed, height, width, 4), "RGBA").convert(mode).save(path)
    (item,) = items_of_file("image", path)
    IMAGE.check(item)
    assert IMAGE.shape(item) == item_sides(height, width)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_image_items__are_turned_as_exif_says(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(noise(7, 90, 60)).save(tmp_path / "tagged.png", exif=exif)
    with Image.open(tmp_path / "tagged.png") as tagged:
        ImageOps.exif_transpose(tagged).save(tmp_path / "turned.png")
    assert image_items(tmp_path / "tagged.png") == image_items(tmp_path / "turned.png")


def test_image_items__lay_transparency_over_the_neutral_grey(tmp_path: Path) -> None:
    pixels = noise(8, 48, 48, 4)
    pixels[:16, :, 3] = 0
    pixels[16:32, :, 3] = 255
    Image.fromarray(pixels, "RGBA").save(tmp_path / "a.png")
    decoded = decode_image(image_items(tmp_path / "a.png")[0])
    assert (decoded[:16] == IMAGE.neutral).all()
    assert np.array_equal(decoded[16:32], pixels[16:32, :, :3])
    alpha = pixels[32:, :, 3:].astype(float) / 255
    expected = pixels[32:, :, :3] * alpha + IMAGE.neutral * (1 - alpha)
    assert np.abs(decoded[32:] - expected).max() <= 0.5 + 1e-9


def test_image_items__of_16_bit_grey_keep_the_upper_bits(tmp_path: Path) -> None:
    grey = np.arange(48 * 48, dtype=np.uint16).reshape(48, 48) * 28
    Image.fromarray(grey).save(tmp_path / "a.png")
    assert np.array_equal(decode_image(image_items(tmp_path / "a.png")[0])[:, :, 0], grey >> 8)


def test_image_items__of_a_large_jpeg_are_nearly_those_of_its_pixels(tmp_path: Path) -> None:
    gradient = np.linspace(0, 255, 1500)
    pixels = np.stack(np.broadcast_arrays(gradient[:, None], gradient[None, :1100], 99.0), axis=2).astype(
        np.uint8
    )
    for name in ("a.jpg", "a.png"):
        Image.fromarray(pixels).save(tmp_path / name, **({"quality": 95} if name == "a.jpg" else {}))
    jpeg, png = (decode_image(image_items(tmp_path / name)[0]).astype(int) for name in ("a.jpg", "a.png"))
    assert np.abs(jpeg - png).max() <= 4


def test_image_items__take_the_first_frame_of_a_gif(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (48, 48), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (decode_image(image_items(tmp_path / "a.gif")[0]) == (255, 0, 0)).all()


def test_image_items__do_not_mind_what_a_file_is_called(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(noise(9, 64, 64)).save(buffer, "PNG")
    for name in ("a.png", "a.jpg", "a.wav", "a"):
        (tmp_path / name).write_bytes(buffer.getvalue())
    assert len({image_items(tmp_path / name)[0] for name in ("a.png", "a.jpg", "a.wav", "a")}) == 1
