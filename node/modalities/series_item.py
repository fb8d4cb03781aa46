"""A window of a series as a canonical item: u16 steps and channels, then int16 [steps, channels]."""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
import numpy.typing as npt

from protocol.modalities import SERIES
from protocol.modalities.dense import HEADER_BYTES

SPAN_STEPS: Final = SERIES.rows.block
"""A unit is so many steps of one channel; an item's length is a multiple of it."""
STEPS_MAX: Final = SERIES.rows.most
CHANNELS_MAX: Final = SERIES.columns.most
ITEM_VALUES_MAX: Final = SERIES.payload_bytes_max // 2
STEPS_PER_DEVIATION: Final = 4096
"""An int16 counts standard deviations of the channel in steps of 1/4096, to 8 deviations."""

_HEADER: Final = struct.Struct(">HH")


def decode_series(view: bytes) -> npt.NDArray[np.float32]:
    """The values of an item or view in standard deviations, float32 [steps, channels]. Raises ItemError."""
    SERIES.check(view)
    values = np.frombuffer(view, "<i2", offset=HEADER_BYTES).reshape(SERIES.shape(view))
    return values.astype(np.float32) * np.float32(1 / STEPS_PER_DEVIATION)


def encode_series(deviations: npt.NDArray[np.float64]) -> bytes:
    """The canonical item of standardised values [steps, channels], of an item's shape and finite."""
    steps, channels = deviations.shape
    values = np.clip(np.rint(deviations * STEPS_PER_DEVIATION), -32767, 32767).astype("<i2")
    return _HEADER.pack(steps, channels) + values.tobytes()
