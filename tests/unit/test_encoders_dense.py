"""Built-in encoders of images, sound, series and bytes: what they see, what they do not, how they add up."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from node.encoders import REFERENCES, EncoderError, encoder_names
from node.encoders.dense import DenseEncoder, dense_encoder
from node.encoders.dense.fixed import cosines, fixed_matrix
from node.modalities import sample_items
from protocol.masks import masks_of
from protocol.modalities import MODALITIES, Units

DENSE = tuple(name for modality in REFERENCES if modality != "text" for name in encoder_names(modality))
GRIDS = tuple(name for name in DENSE if not name.startswith("bytes"))


@cache
def _items(modality: str, count: int = 12) -> tuple[bytes, ...]:
    return tuple(sample_items(modality, count=count))


def _encoder(name: str) -> DenseEncoder:
    return dense_encoder(name)


def _parts(modality: str, item: bytes, seed: int) -> tuple[bytes, bytes]:
    units = Units.of(MODALITIES[modality], item)
    (mask,) = masks_of(bytes([seed]) * 32, units, 1)
    return mask.part(units), mask.inverse(units)


def _shown(modality: str, rows: int, columns: int, draw: np.random.Generator) -> bytes:
    """A canonical view of random values of any shape."""
    header = rows.to_bytes(2, "big") + columns.to_bytes(2, "big")
    if modality == "image":
        return header + draw.integers(0, 256, rows * columns * 3, dtype=np.uint8).tobytes()
    return header + draw.integers(-4000, 4000, rows * columns, dtype=np.int16).astype("<i2").tobytes()


_SHAPES = {
    "image": st.tuples(st.sampled_from((16, 48, 128)), st.sampled_from((16, 64))),
    "audio": st.tuples(st.sampled_from((8, 24, 128)), st.just(256)),
    "series": st.tuples(st.sampled_from((8, 16, 64, 504)), st.sampled_from((1, 3, 32))),
}


@pytest.mark.parametrize("name", DENSE)
def test_dense__has_64_to_1024_dimensions_at_unit_norm(name: str) -> None:
    encoder = _encoder(name)
    rows = encoder.embed(_items(encoder.modality))
    assert rows.shape == (12, encoder.dimensions)
    assert 64 <= encoder.dimensions <= 1024
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, rtol=1e-4)


@pytest.mark.parametrize("name", GRIDS)
@given(data=st.data())
@settings(max_examples=6, deadline=None)
def test_dense__gives_a_view_of_any_shape_the_same_row_in_any_company(name: str, data: st.DataObject) -> None:
    encoder = _encoder(name)
    shapes = data.draw(st.lists(_SHAPES[encoder.modality], min_size=1, max_size=4))
    draw = np.random.default_rng(data.draw(st.integers(0, 99)))
    views = [_shown(encoder.modality, *shape, draw) for shape in shapes]
    together = encoder.embed(views)
    alone = np.concatenate([encoder.embed([view]) for view in views])
    assert np.isfinite(together).all()
    np.testing.assert_allclose(together, alone, atol=2e-5)


@pytest.mark.parametrize("name", encoder_names("bytes"))
@given(views=st.lists(st.binary(min_size=1, max_size=600), min_size=1, max_size=4))
@settings(max_examples=25, deadline=None)
def test_dense__takes_bytes_of_any_length_and_content(name: str, views: list[bytes]) -> None:
    rows = _encoder(name).embed(views)
    assert np.isfinite(rows).all()
    np.testing.assert_allclose(
        rows, np.concatenate([_encoder(name).embed([one]) for one in views]), atol=1e-6
    )


@pytest.mark.parametrize("name", GRIDS)
def test_dense__says_nothing_of_a_view_that_shows_nothing(name: str) -> None:
    encoder = _encoder(name)
    item = _items(encoder.modality)[0]
    empty = MODALITIES[encoder.modality].keep(item, ())
    assert not encoder.embed([empty]).any()


@pytest.mark.parametrize("name", [name for name in GRIDS if name != "image-patches"])
def test_dense__skips_neutral_units_rather_than_see_grey_or_silence(name: str) -> None:
    # One block on its own, and the same block in a large field of neutral ones.
    encoder = _encoder(name)
    kind, draw = encoder.modality, np.random.default_rng(1)
    sides = {"image": ((16, 16), (64, 64)), "audio": ((8, 256), (32, 256)), "series": ((8, 1), (32, 3))}[kind]
    small = _shown(kind, *sides[0], draw)
    block = _grid(kind, small)
    large = _grid(kind, MODALITIES[kind].keep(_shown(kind, *sides[1], draw), ()))
    large[: block.shape[0], : block.shape[1]] = block
    view = sides[1][0].to_bytes(2, "big") + sides[1][1].to_bytes(2, "big") + large.tobytes()
    rows = encoder.embed([small, view])
    assert rows[0] @ rows[1] > 0.999


def test_image_patches__know_where_things_are_and_image_colours_do_not() -> None:
    units = np.random.default_rng(3).integers(0, 256, (4, 16, 64, 3), dtype=np.uint8) // np.array(
        [[[[1]]], [[[2]]], [[[4]]], [[[8]]]], np.uint8
    )
    one, other = (
        bytes([0, 64, 0, 64]) + units[list(order)].tobytes() for order in ((0, 1, 2, 3), (3, 1, 0, 2))
    )
    moved = {}
    for name in ("image-patches", "image-colours"):
        rows = _encoder(name).embed([one, other])
        moved[name] = rows[0] @ rows[1]
    assert moved["image-colours"] > 0.9999
    assert moved["image-patches"] < 0.9


def test_image_patches__see_of_a_mask_and_its_inverse_the_layout_of_the_whole() -> None:
    digit = sample_items("image", count=40)
    layouts = []
    for at in range(3):
        views = digit if at == 0 else [_parts("image", item, 5)[at - 1] for item in digit]
        rows = _encoder("image-patches").features(
            np.stack([_encoder("image-patches").decode(v) for v in views])
        )
        layouts.append(rows[:, 640:] - rows[:, 640:].mean(axis=0))
    _, mask, inverse = layouts
    likeness = mask @ inverse.T
    assert np.diagonal(likeness).mean() > likeness[~np.eye(40, dtype=bool)].mean() + likeness.std() / 2


def _grid(modality: str, view: bytes) -> NDArray[np.generic]:
    shape = (int.from_bytes(view[:2], "big"), int.from_bytes(view[2:4], "big"))
    flat = np.frombuffer(view, np.uint8 if modality == "image" else "<i2", offset=4)
    return flat.reshape(*shape, -1).copy()


@pytest.mark.parametrize("name", DENSE)
def test_dense__parts_of_an_item_recompose_its_whole_better_than_anothers(name: str) -> None:
    encoder = _encoder(name)
    items = _items(encoder.modality)
    parts = [_parts(encoder.modality, item, 1) for item in items]
    full = encoder.embed(items)
    summed = encoder.embed([part for part, _ in parts]) + encoder.embed([rest for _, rest in parts])
    summed /= np.linalg.norm(summed, axis=1, keepdims=True)
    likeness = (summed - summed.mean(axis=0)) @ (full - full.mean(axis=0)).T
    own = np.diagonal(likeness)
    assert (own > (likeness.sum(axis=1) - own) / (len(items) - 1)).all()
    assert (likeness.argmax(axis=1) == np.arange(len(items))).mean() >= 0.75


@pytest.mark.parametrize("modality", [one for one in REFERENCES if one != "text"])
def test_dense__encoders_of_a_modality_are_different_ones(modality: str) -> None:
    # What one says of which items are alike is not what another says.
    items = _items(modality)
    likeness = []
    for name in encoder_names(modality):
        rows = _encoder(name).embed(items)
        rows = rows - rows.mean(axis=0)
        likeness.append((rows @ rows.T)[np.triu_indices(len(items), 1)])
    correlation = np.corrcoef(likeness)
    assert len(likeness) >= 3
    assert correlation[np.triu_indices(len(likeness), 1)].max() < 0.99


@pytest.mark.parametrize("name", DENSE)
def test_dense__refuses_views_of_another_modality(name: str) -> None:
    encoder = _encoder(name)
    with pytest.raises(EncoderError, match=f"{name} embeds views of {encoder.modality}, and was given text"):
        encoder.embed(["text"])
    if name in GRIDS:
        with pytest.raises(EncoderError, match=f"{name} was given a view that is no {encoder.modality}"):
            encoder.embed([b"\x00\x10\x00\x10too short"])


def test_dense__does_not_depend_on_the_process_or_its_hash_seed() -> None:
    code = (
        "from node.encoders.dense import dense_encoder;"
        "print(dense_encoder('bytes-runs').embed([bytes(range(256)) * 3]).tobytes().hex())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120, env=environment
    )
    found = np.frombuffer(bytes.fromhex(ran.stdout.strip()), np.float32)
    here = _encoder("bytes-runs").embed([bytes(range(256)) * 3])[0]
    np.testing.assert_allclose(found, here, atol=1e-6)


def test_fixed_matrix__is_the_same_for_ever_and_of_unit_variance() -> None:
    matrix = fixed_matrix("a test", 64, 64)
    assert matrix is fixed_matrix("a test", 64, 64)
    assert not matrix.flags.writeable
    # These very numbers are part of every reference: another stream would be another space.
    np.testing.assert_allclose(matrix[0, :3], (-0.0292226, -0.7823582, -1.5531117), atol=1e-6)
    assert abs(matrix.mean()) < 0.05
    assert abs(matrix.std() - 1) < 0.02


@pytest.mark.parametrize("length", [4, 8, 32])
def test_cosines__are_orthonormal(length: int) -> None:
    np.testing.assert_allclose(cosines(length).T @ cosines(length), np.eye(length), atol=1e-5)
