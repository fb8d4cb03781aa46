"""Files of multichannel series: CSV, Parquet and NPY, standardised and cut into windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from node.modalities.csv_table import read_csv
from node.modalities.file_door import FileError, FileKind, insist_on_count, kind_of, open_file, read_head
from node.modalities.npy_array import read_npy
from node.modalities.parquet_table import read_parquet
from node.modalities.series_item import CHANNELS_MAX, ITEM_VALUES_MAX, SPAN_STEPS, STEPS_MAX, encode_series

FILE_BYTES_MAX: Final = 256 << 20
WINDOW_STEPS: Final = 64
GAP_STEPS_MAX: Final = 8
"""A longer run of missing values is not bridged."""
FLAT: Final = 1e-9
"""A channel whose standard deviation is a smaller part of its largest value is constant."""

Values: TypeAlias = npt.NDArray[np.float64]

_READERS: Final[dict[FileKind, Callable[[Path, BinaryIO, int], Values]]] = {
    FileKind.TEXT: read_csv,
    FileKind.NPY: read_npy,
    FileKind.PARQUET: read_parquet,
}
KINDS: Final = frozenset(_READERS)


def series_items(
    path: Path, items_max: int | None = None, *, window_steps: int = WINDOW_STEPS
) -> list[bytes]:
    """The series of a file as items: windows that follow each other, in order. Raises FileError.

    Rows are steps, columns channels; an array of three dimensions is [series, steps, channels]. Each channel
    is standardised over its whole file; a constant one is 0 throughout. Runs of up to GAP_STEPS_MAX missing
    values (empty, NaN, infinite) between two known ones are bridged by a straight line; windows that touch a
    longer one are left out, as are windows in which nothing changes and a rest shorter than a window. A file
    shorter than a window is one, cut to a multiple of 8 steps.
    """
    if not SPAN_STEPS <= window_steps <= STEPS_MAX or window_steps % SPAN_STEPS:
        raise ValueError(f"a window has a multiple of 8 steps up to {STEPS_MAX}, not {window_steps}")
    with open_file(path, FILE_BYTES_MAX) as (file, size_bytes):
        kind = kind_of(read_head(file))
        reader = _READERS.get(kind)
        if reader is None:
            raise FileError(f"{path} is {kind}, not a series: use CSV, Parquet or NPY.")
        values = reader(path, file, size_bytes)
    runs = values if values.ndim == 3 else values[None]  # [series, steps, channels]
    _insist_on_shape(path, runs.shape[1], runs.shape[2], window_steps)
    insist_on_count(path, len(runs) * max(1, runs.shape[1] // window_steps), items_max)
    standardise(runs)
    items = [encode_series(window) for run in runs for window in windows(run, window_steps)]
    if not items:
        raise FileError(
            f"{path} has no window of {window_steps} steps whose values are known and change: fill its gaps, "
            "or leave it out."
        )
    return items


def standardise(runs: Values) -> None:
    """Bring each channel of [series, steps, channels] to mean 0, deviation 1 in place; missing values stay.

    A channel without variation becomes 0.
    """
    flat = runs.reshape(-1, runs.shape[2])
    for channel in range(flat.shape[1]):
        column = flat[:, channel]
        column[~np.isfinite(column)] = np.nan
        known = column[~np.isnan(column)]
        largest = np.abs(known).max(initial=0.0)
        if not largest:
            known_deviation, mean = 0.0, 0.0
        else:
            # Scaled first: squares of values beyond 1e154 have no float64.
            known /= largest
            mean, known_deviation = float(known.mean()), float(known.std())
            column /= largest
        if known_deviation <= FLAT:
            column[~np.isnan(column)] = 0.0
        else:
            column -= mean
            column /= known_deviation


def windows(run: Values, window_steps: int) -> Iterator[Values]:
    """The windows of a standardised series [steps, channels] that are known throughout and change."""
    length = min(window_steps, len(run) // SPAN_STEPS * SPAN_STEPS)
    bridged = _bridged(run)
    for start in range(0, len(run) - length + 1, length):
        window = bridged[start : start + length]
        if not np.isnan(window).any() and (window != window[0]).any():
            yield window


def _bridged(run: Values) -> Values:
    """The series with short gaps filled along a straight line."""
    if not np.isnan(run).any():
        return run
    run = run.copy()
    steps = np.arange(len(run))
    for column in run.T:
        missing = np.isnan(column)
        if missing.all() or not missing.any():
            continue
        known = steps[~missing]
        gaps = np.diff(known)  # 1 where nothing is missing
        short = np.zeros(len(run), bool)
        for begin in np.flatnonzero((gaps > 1) & (gaps <= GAP_STEPS_MAX + 1)):
            short[known[begin] + 1 : known[begin + 1]] = True
        column[short] = np.interp(steps[short], known, column[known])
    return run


def _insist_on_shape(path: Path, steps: int, channels: int, window_steps: int) -> None:
    if channels > CHANNELS_MAX:
        raise FileError(
            f"{path} has {channels} channels, {CHANNELS_MAX} are the most: choose some, or transpose it, if "
            "its rows are channels."
        )
    if steps < SPAN_STEPS:
        raise FileError(f"{path} has {steps} steps, {SPAN_STEPS} are the least: record for longer.")
    if window_steps * channels > ITEM_VALUES_MAX:
        raise FileError(
            f"{path} has {channels} channels, of which an item holds {ITEM_VALUES_MAX // channels} steps, "
            f"not {window_steps}: take shorter windows."
        )
