"""CSV, Parquet and NPY become windows of standardised channels, by the rules the page states."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.modalities import FileError, items_of_file
from node.modalities.csv_layout import layout_of
from node.modalities.parquet_pages import PageError, check_pages
from node.modalities.series_file import GAP_STEPS_MAX, series_items
from node.modalities.series_item import decode_series
from protocol.modalities import SERIES

Values = npt.NDArray[np.float64]


def walk(steps: int = 200, channels: int = 3, seed: int = 1) -> Values:
    return np.cumsum(np.random.default_rng(seed).standard_normal((steps, channels)), axis=0)


def saved(folder: Path, values: npt.NDArray[np.generic], name: str = "a.npy") -> Path:
    np.save(folder / name, values)
    return folder / name


def lines(values: Values, delimiter: str = ",", decimal: str = ".") -> list[str]:
    return [delimiter.join(repr(float(value)).replace(".", decimal) for value in row) for row in values]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(8, 300), st.integers(1, 64), st.sampled_from([8, 64, 128, 256]))
def test_series_items__are_canonical_windows_of_the_standardised_file(
    tmp_path_factory: pytest.TempPathFactory, seed: int, steps: int, channels: int, window: int
) -> None:
    values = walk(steps, channels, seed)
    items = series_items(saved(tmp_path_factory.mktemp("series"), values), window_steps=window)
    for item in items:
        SERIES.check(item)
    length = min(window, steps // 8 * 8)
    assert [SERIES.shape(item) for item in items] == [(length, channels)] * (steps // length)
    expected = np.clip((values - values.mean(axis=0)) / values.std(axis=0), -32767 / 4096, 32767 / 4096)
    joined = np.concatenate([decode_series(item) for item in items])
    assert np.abs(joined - expected[: len(joined)]).max() < 0.51 / 4096


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1.0, 1e12, 1e300])
def test_series_items__do_not_depend_on_the_units_of_a_channel(tmp_path: Path, scale: float) -> None:
    expected = [decode_series(item) for item in series_items(saved(tmp_path, walk()))]
    scaled = [decode_series(item) for item in series_items(saved(tmp_path, walk() * scale))]
    assert np.abs(np.concatenate(scaled) - np.concatenate(expected)).max() <= 1 / 4096


CSV_FILES = {
    "plain": lines(walk()),
    "header": ["a,b,c", *lines(walk())],
    "quoted header": ['"a","b","c"', *lines(walk())],
    "commented header": ["# a b c", *lines(walk(), " ")],
    "semicolons and decimal commas": ["a;b;c", *lines(walk(), ";", ",")],
    "tabs": lines(walk(), "\t"),
    "bars": lines(walk(), "|"),
    "time by name": ["Time [s],a,b,c", *(f"{n * n},{line}" for n, line in enumerate(lines(walk())))],
    "time by value": [
        f"2026-01-{n // 24 + 1:02} {n % 24:02}:00,{line}" for n, line in enumerate(lines(walk()))
    ],
    "days as people write them": [f"{n % 28 + 1}/12/2026,{line}" for n, line in enumerate(lines(walk()))],
    "even count": [f"{n * 0.1:.1f},{line}" for n, line in enumerate(lines(walk()))],
    "index without a name": [",a,b,c", *(f"{n},{line}" for n, line in enumerate(lines(walk())))],
}


@pytest.mark.parametrize("layout", CSV_FILES)
def test_series_items__of_a_csv_file_are_those_of_its_numbers(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "a.csv"
    for mark, newline in (("", "\n"), ("\ufeff", "\r\n")):
        path.write_text(mark + newline.join(CSV_FILES[layout]) + newline, encoding="utf-8", newline="")
        assert series_items(path) == series_items(saved(tmp_path, walk()))


def test_series_items__keep_a_first_column_that_does_not_count_evenly(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\n".join(lines(walk())))
    assert SERIES.shape(series_items(path)[0]) == (64, 3)


@pytest.mark.parametrize("options", [{}, {"compression": "zstd"}, {"data_page_version": "2.0"}])
@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()])
def test_series_items__of_a_parquet_file_are_those_of_its_numbers(
    tmp_path: Path, options: dict[str, str], kind: pa.DataType
) -> None:
    values = walk().astype(kind.to_pandas_dtype())
    columns = {name: pa.array(values[:, n], kind) for n, name in enumerate("abc")}
    columns["when"] = pa.array(np.arange(len(values)).astype("datetime64[ms]"))
    pq.write_table(pa.table(columns), tmp_path / "a.parquet", row_group_size=77, **options)
    assert series_items(tmp_path / "a.parquet") == series_items(saved(tmp_path, values))


@pytest.mark.parametrize("kind", ["f2", "f4", ">f8", "i1", "u8", "?"])
def test_series_items__of_an_array_of_any_kind_of_number_are_those_of_its_values(
    tmp_path: Path, kind: str
) -> None:
    values = np.random.default_rng(3).integers(0, 2, (100, 2)).astype(kind)
    assert series_items(saved(tmp_path, values)) == series_items(
        saved(tmp_path, values.astype(float), "b.npy")
    )


def test_series_items__of_an_array_stored_by_columns_are_the_same(tmp_path: Path) -> None:
    by_columns = saved(tmp_path, np.asfortranarray(walk()))
    assert series_items(by_columns) == series_items(saved(tmp_path, walk(), "b.npy"))


def test_series_items__of_one_and_three_dimensions_are_one_channel_and_many_series(tmp_path: Path) -> None:
    one, three = walk(200, 1)[:, 0], walk(128, 2).reshape(2, 64, 2)
    assert SERIES.shape(series_items(saved(tmp_path, one))[0]) == (64, 1)
    # Standardised over the file: the two series are those of one file in which they follow each other.
    assert series_items(saved(tmp_path, three)) == series_items(saved(tmp_path, walk(128, 2), "b.npy"))


@pytest.mark.parametrize("gap", range(GAP_STEPS_MAX + 3))
def test_series_items__bridge_short_gaps_and_leave_out_windows_with_longer_ones(
    tmp_path: Path, gap: int
) -> None:
    values = np.arange(192.0)[:, None] ** 2
    values[70 : 70 + gap] = np.nan
    items = series_items(saved(tmp_path, values))
    assert len(items) == (3 if gap <= GAP_STEPS_MAX else 2)
    if 0 < gap <= GAP_STEPS_MAX:
        window = decode_series(items[1])[:, 0]
        assert np.allclose(np.diff(window[5 : 7 + gap], n=2), 0, atol=1e-3)


def test_series_items__do_not_bridge_gaps_at_the_ends(tmp_path: Path) -> None:
    values = walk(192, 1)
    values[[0, 191]] = np.nan
    assert len(series_items(saved(tmp_path, values))) == 1


def test_series_items__read_missing_values_as_people_write_them(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = [f"{n},{n * n}" for n in range(64)]
    for n, missing in enumerate(["", "NaN", "nan", "NA", "null", "None", "-", "?", "n/a", "inf"]):
        rows[5 + 5 * n] = f"{5 + 5 * n},{missing}"
    path.write_text("\n".join(rows))
    assert SERIES.shape(series_items(path)[0]) == (64, 1)


def test_series_items__hold_zero_where_a_channel_is_constant(tmp_path: Path) -> None:
    values = walk(64, 2)
    values[:, 1] = 1e9 + 0.5
    (item,) = series_items(saved(tmp_path, values))
    assert not decode_series(item)[:, 1].any()
    assert decode_series(item)[:, 0].any()


def test_series_items__leave_out_windows_in_which_nothing_changes(tmp_path: Path) -> None:
    values = np.concatenate([walk(64), np.ones((64, 3)), walk(64)])
    assert len(series_items(saved(tmp_path, values))) == 2


def test_series_items__refuse_more_channels_than_an_item_holds(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="65 channels, 64 are the most"):
        series_items(saved(tmp_path, walk(100, 65)))
    with pytest.raises(FileError, match="holds 256 steps, not 512"):
        series_items(saved(tmp_path, walk(600, 64)), window_steps=512)
    with pytest.raises(ValueError, match="multiple of 8"):
        series_items(saved(tmp_path, walk()), window_steps=60)


def test_layout_of__tells_columns_that_are_not_numbers() -> None:
    layout = layout_of(["time,a,label", "0,1,x", "1,2,y"])
    assert (layout.has_time, layout.has_header, layout.not_numbers) == (True, True, (("label", "x"),))
    assert layout_of(["1;2", "3;4"]).names == ("1", "2")


PAGES = {
    "sound": (bytes.fromhex("1500 15c801 15c801 2c 1514 1500 1506 1506 00 00") + bytes(100), None),
    "unpacks to 1 GiB": (bytes.fromhex("1500 1580808080 08 1508 2c 1514 00 00") + bytes(4), "unpacks to"),
    "negative": (bytes.fromhex("1500 1501 1508 00") + bytes(4), "unpacks to"),
    "a billion values": (bytes.fromhex("1500 1508 1508 2c 1580a8d6b907 00 00") + bytes(4), "values"),
    "beyond its column": (bytes.fromhex("1500 1508 15c801 00") + bytes(4), "ends beyond"),
    "no sizes": (bytes.fromhex("1500 00"), "does not say"),
    "cut off": (bytes.fromhex("1500 15"), "cut off"),
    "long number": (bytes.fromhex("1500 15") + b"\xff" * 20, "more than 64 bits"),
    "a list": (bytes.fromhex("19 00"), "kind 9"),
    "nested": (b"\x1c" * 50, "nested too deep"),
}


@pytest.mark.parametrize("name", PAGES)
def test_check_pages__refuses_headers_that_promise_too_much(tmp_path: Path, name: str) -> None:
    data, reason = PAGES[name]
    path = tmp_path / "pages"
    path.write_bytes(b"PAR1" + data)
    with path.open("rb") as file:
        if reason is None:
            check_pages(file, 4, len(data), 1_000_000)
        else:
            with pytest.raises(PageError, match=reason):
                check_pages(file, 4, len(data), 1_000_000)


@given(st.binary(max_size=80))
def test_check_pages__ends_on_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any-pages"
    path.write_bytes(data)
    with path.open("rb") as file, suppress(PageError):
        check_pages(file, 0, len(data), 1_000)


def test_items_of_file__cut_raw_bytes_in_order(tmp_path: Path) -> None:
    data = np.random.default_rng(4).bytes(3 * 8192 + 5)
    (tmp_path / "a.bin").write_bytes(data)
    items = items_of_file("bytes", tmp_path / "a.bin")
    assert [len(item) for item in items] == [8192, 8192, 8192, 5]
    assert b"".join(items) == data
