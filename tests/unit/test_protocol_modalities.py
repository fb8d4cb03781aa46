"""Modalities: what is canonical, that masks partition every kind of item, and where the units lie."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from protocol.hashing import digest
from protocol.items import ItemError
from protocol.masks import SHARE_PERCENT_MIN, UNITS_MIN, masks_of
from protocol.modalities import AUDIO, BYTES, IMAGE, ITEM_BYTES_MAX, MODALITIES, SERIES, TEXT, Units
from protocol.modalities.dense import HEADER_BYTES, Grid
from protocol.modalities.raw import CHUNK_BYTES
from protocol.probes import probe_view

SECRETS = st.binary(min_size=32, max_size=32)
SHAPES = {
    "image": st.tuples(*(st.sampled_from(range(16, 129, 16)) for _ in range(2))),
    "audio": st.tuples(st.sampled_from(range(8, 129, 8)), st.just(256)),
    "series": st.tuples(st.sampled_from(range(8, 513, 8)), st.integers(1, 16)),
}
GRIDS = {"image": IMAGE, "audio": AUDIO, "series": SERIES}


def grid_item(grid: Grid, rows: int, columns: int, seed: int = 0) -> bytes:
    """Cells without a neutral byte, so that what is masked can be told."""
    size = rows * columns * grid.cell_bytes
    drawn = digest("cells", seed.to_bytes(4, "big")) * (size // 32 + 1)
    other = (grid.neutral + 1) % 256
    cells = bytes(other if byte == grid.neutral else byte for byte in drawn[:size])
    return rows.to_bytes(2, "big") + columns.to_bytes(2, "big") + cells


@st.composite
def dense_units(draw: st.DrawFn) -> Units:
    name = draw(st.sampled_from(sorted(GRIDS)))
    rows, columns = draw(SHAPES[name])
    return Units.of(GRIDS[name], grid_item(GRIDS[name], rows, columns, draw(st.integers(0, 99))))


@given(units=dense_units(), secret=SECRETS, count=st.integers(1, 4))
def test_masks_of_dense_items__and_inverses_partition_the_cells(
    units: Units, secret: bytes, count: int
) -> None:
    masks = masks_of(secret, units, count)
    assert len(masks) == (count if len(units) >= UNITS_MIN else 0)
    neutral = units.modality.neutral  # type: ignore[attr-defined]
    for mask in masks:
        part, inverse = mask.part(units), mask.inverse(units)
        units.modality.check(part)
        units.modality.check(inverse)
        assert part[:HEADER_BYTES] == inverse[:HEADER_BYTES] == units.data[:HEADER_BYTES]
        for cell, inner, outer in zip(
            units.data[HEADER_BYTES:], part[HEADER_BYTES:], inverse[HEADER_BYTES:], strict=True
        ):
            assert {inner, outer} == {cell, neutral}
        inside = sum(stop - start for start, stop in mask.spans)
        assert SHARE_PERCENT_MIN * len(units) <= 100 * inside
        assert 100 * inside <= units.modality.share_percent_max * len(units)
        assert mask.share_ppm(units) == inside * 1_000_000 // len(units)


@pytest.mark.parametrize(("grid", "shape"), [(IMAGE, (64, 64)), (AUDIO, (64, 256)), (SERIES, (64, 4))])
def test_items_of_a_grid_of_one_size__are_masked_alike_so_that_shapes_pair_nothing(
    grid: Grid, shape: tuple[int, int]
) -> None:
    items = [Units.of(grid, grid_item(grid, *shape, seed)) for seed in range(5)]
    assert len({masks_of(bytes(32), item, 3) for item in items}) == 1
    assert masks_of(bytes(32), items[0], 1) != masks_of(bytes([1]) * 32, items[0], 1)


def test_items_of_bytes__are_masked_each_in_its_own_way() -> None:
    items = [Units.of(BYTES, bytes([seed]) * 640) for seed in range(5)]
    assert len({masks_of(bytes(32), item, 1) for item in items}) == 5


@given(data=st.binary(min_size=1, max_size=900), secret=SECRETS)
def test_masks_of_bytes__and_inverses_partition_the_chunks(data: bytes, secret: bytes) -> None:
    units = Units.of(BYTES, data)
    assert len(units) == -(-len(data) // CHUNK_BYTES)
    assert sum(units.sizes) == len(data)
    assert units.keep(((0, len(units)),)) == data
    for mask in masks_of(secret, units, 2):
        part, inverse = mask.part(units), mask.inverse(units)
        assert len(part) + len(inverse) == len(data)
        chunks = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)]
        inside = {unit for start, stop in mask.spans for unit in range(start, stop)}
        assert part == b"".join(chunk for at, chunk in enumerate(chunks) if at in inside)
        assert inverse == b"".join(chunk for at, chunk in enumerate(chunks) if at not in inside)


@given(units=dense_units(), secret=SECRETS)
def test_probe_of_a_dense_item__shows_a_part_less_a_few_units(units: Units, secret: bytes) -> None:
    assume(len(units) >= UNITS_MIN)
    (mask,) = masks_of(secret, units, 1)
    of_inverse, view = probe_view(secret, units, mask)
    fragment = mask.inverse(units) if of_inverse else mask.part(units)
    units.modality.check(view)
    assert view != fragment
    neutral = units.modality.neutral  # type: ignore[attr-defined]
    assert all(kept in (whole, neutral) for kept, whole in zip(view, fragment, strict=True))


def test_spans_of_patches__are_neighbours_in_the_picture() -> None:
    units = Units.of(IMAGE, grid_item(IMAGE, 64, 64))
    view = units.keep(((0, 4),))  # the first four of the Z: a square of 2 x 2 patches
    shown = {
        (at // (64 * 3), at % (64 * 3) // 3)
        for at, (kept, cell) in enumerate(zip(view[4:], units.data[4:], strict=True))
        if kept == cell
    }
    assert shown == {(row, column) for row in range(32) for column in range(32)}


def test_spans_of_a_series__go_along_one_channel() -> None:
    units = Units.of(SERIES, grid_item(SERIES, 32, 3))
    view = units.keep(((4, 8),))  # the four spans of the second channel
    kept = Counter(
        at % 6 // 2
        for at, (left, cell) in enumerate(zip(view[4:], units.data[4:], strict=True))
        if left == cell
    )
    assert kept == {1: 64}


def header(rows: int, columns: int) -> bytes:
    return rows.to_bytes(2, "big") + columns.to_bytes(2, "big")


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("image", b"", "no header"),
        ("image", b"\x00\x10\x00", "no header"),
        ("image", header(16, 16) + bytes(767), "768 bytes after its header"),
        ("image", header(16, 16) + bytes(769), "768 bytes after its header"),
        ("image", header(0, 16), "0 pixel rows"),
        ("image", header(16, 24) + bytes(16 * 24 * 3), "in multiples of 16"),
        ("image", header(144, 16) + bytes(144 * 16 * 3), "16 to 128 are allowed"),
        ("image", header(65_535, 65_535), "65535 pixel rows"),
        ("audio", header(8, 128) + bytes(8 * 128 * 2), "256 to 256 are allowed"),
        ("audio", header(136, 256) + bytes(136 * 512), "8 to 128 are allowed"),
        ("series", header(512, 64) + bytes(512 * 64 * 2), "cut it"),
        ("series", header(12, 1) + bytes(24), "in multiples of 8"),
        ("bytes", b"", "0 bytes"),
        ("bytes", bytes(8193), "1 to 8192"),
        ("text", b"two  spaces", "single spaces"),
    ],
)
def test_check__refuses_what_is_not_canonical_and_says_why(name: str, data: bytes, words: str) -> None:
    with pytest.raises(ItemError, match=words):
        MODALITIES[name].check(data)


@given(data=st.binary(max_size=3000))
def test_check__of_any_bytes_raises_nothing_but_item_error(data: bytes) -> None:
    for modality in MODALITIES.values():
        try:
            modality.check(data)
        except ItemError:
            continue
        assert 1 <= len(data) <= modality.item_bytes_max <= ITEM_BYTES_MAX
        units = Units.of(modality, data)
        assert modality.keep(data, ((0, len(units)),)) == data


def test_text__weighs_its_words_by_their_bytes() -> None:
    units = Units.of(TEXT, "eins zwei drei für".encode())
    assert list(units.sizes) == [4, 4, 4, 4]
    assert units.keep(((1, 2), (3, 4))) == "zwei für".encode()
    assert units.share_ppm(((0, 1),)) == 250_000
