"""Three encoders of series: patterns along time, shapes of spans, and how values go with earlier ones.

Channels are told apart by nothing: what is read is what they share. Most of it does not change when a channel
is turned upside down, for what hangs together is often correlated, one way or the other.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from node.encoders.dense.fixed import cosines, fixed_matrix, waves
from node.encoders.dense.pooled import DenseEncoder, mean_over
from node.encoders.dense.stimuli import series
from node.modalities.series_item import decode_series
from protocol.modalities import SERIES

Array = NDArray[np.float32]

SPAN_STEPS: Final = SERIES.rows.block
SPAN_WIDTHS: Final = (0.5, 1.2)
SPAN_WAVES: Final = 192
SIGNED: Final = 0.4
"""How much of a span's level and trend is told with its sign."""


def spans(values: Array) -> Array:
    """Strengths of the frequencies of spans of 8 steps, as waves: [n, steps, channels] -> [n, 384]."""
    units, live = _spans(values)
    frequencies = units @ cosines(SPAN_STEPS) * np.float32(0.5)
    inputs = np.concatenate([np.abs(frequencies), frequencies[..., :2] * np.float32(SIGNED)], axis=-1)
    return mean_over(waves("series spans", inputs, SPAN_WIDTHS, SPAN_WAVES), live)


KERNEL_TAPS: Final = 5
DILATIONS: Final = (1, 2, 4)
KERNELS: Final = 96
"""Of each dilation."""
KERNEL_WIDTHS: Final = (0.5, 1.2)


def kernels(values: Array) -> Array:
    """Random patterns of 5 values 1, 2 or 4 steps apart, and how strongly they are found: -> [n, 288].

    As MiniRocket (Dempster et al., 2021), with the mean of an even wave for the share of positive values. A
    pattern is looked for where no mask hides any of it.
    """
    live, n = _live_steps(values), len(values)
    parts = []
    for dilation in DILATIONS:
        reach = (KERNEL_TAPS - 1) * dilation + 1
        if values.shape[1] < reach:
            parts.append(np.full((n, KERNELS), np.nan, np.float32))
            continue
        seen = sliding_window_view(values, reach, axis=1)[..., ::dilation]  # [n, places, channels, taps]
        whole = sliding_window_view(live, reach, axis=1)[..., ::dilation].all(axis=-1)
        taps = fixed_matrix(f"series kernels {dilation}", KERNEL_TAPS, KERNELS)
        widths = np.repeat(np.asarray(KERNEL_WIDTHS, np.float32), KERNELS // len(KERNEL_WIDTHS))
        found = np.cos(np.ascontiguousarray(seen) @ (taps * widths))
        parts.append(mean_over(found.reshape(n, -1, KERNELS), whole.reshape(n, -1)))
    return np.concatenate(parts, axis=1)


LAGS: Final = (0, 1, 2, 3, 4, 6, 8, 12)
LAG_BINS: Final = 5
LAG_CELLS: Final = LAG_BINS**2 // 2 + 1


def lags(values: Array) -> Array:
    """How values go with those some steps before: a soft joint histogram of each lag: -> [n, 104]."""
    live = _live_steps(values)
    n, steps = values.shape[:2]
    grid = np.linspace(-2, 2, LAG_BINS, dtype=np.float32)
    bins = np.maximum(0, 1 - np.abs(np.clip(values, -2, 2)[..., None] - grid))
    bins = bins * live[..., None].astype(np.float32)
    parts = []
    for lag in LAGS:
        if lag >= steps:
            parts.append(np.full((n, LAG_CELLS), np.nan, np.float32))
            continue
        # At lag 0 a value tells its own bin and its neighbours': a histogram of the values.
        before = bins[:, : steps - lag].reshape(n, -1, LAG_BINS)
        after = bins[:, lag:].reshape(n, -1, LAG_BINS)
        joint = (before.swapaxes(1, 2) @ after).reshape(n, -1)  # [n, bins^2]
        both = (joint + joint[:, ::-1])[:, :LAG_CELLS]
        with np.errstate(invalid="ignore"):  # 0 / 0: no pair is seen
            parts.append(np.sqrt(both / joint.sum(axis=1, keepdims=True)))
    return np.concatenate(parts, axis=1)


SERIES_ENCODERS: Final = (
    DenseEncoder("series-kernels", "series", len(DILATIONS) * KERNELS, decode_series, kernels, series),
    DenseEncoder("series-spans", "series", len(SPAN_WIDTHS) * SPAN_WAVES, decode_series, spans, series),
    DenseEncoder("series-lags", "series", len(LAGS) * LAG_CELLS, decode_series, lags, series),
)


def _spans(values: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Spans [n, units, 8], those of one time and which are not neutral [n, units]."""
    n = len(values)
    units = values.reshape(n, -1, SPAN_STEPS, values.shape[2]).swapaxes(2, 3).reshape(n, -1, SPAN_STEPS)
    return units, (units != 0).any(axis=2)


def _live_steps(values: Array) -> NDArray[np.bool_]:
    """Which values lie in spans that are not neutral: [n, steps, channels]."""
    n, steps, channels = values.shape
    shown = (values.reshape(n, -1, SPAN_STEPS, channels) != 0).any(axis=2)
    return np.repeat(shown, SPAN_STEPS, axis=1).reshape(n, steps, channels)
