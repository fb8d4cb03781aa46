"""A window of a series as a canonical item: u16 steps and channels, then int16 [steps, channels]."""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
import numpy.typing as npt

from protocol.items import ItemError

SPAN_STEPS: Final = 8
"""A unit is so many steps of one channel; an item's length is a multiple of it."""
STEPS_MAX: Final = 512
CHANNELS_MAX: Final = 64
PAYLOAD_BYTES_MAX: Final = 32 * 1024
STEPS_PER_DEVIATION: Final = 4096
"""An int16 counts standard deviations of the channel in steps of 1/4096, to 8 deviations."""

_HEADER: Final = struct.Struct(">HH")


def decode_series(view: bytes) -> npt.NDArray[np.float32]:
    """The values of an item or view in standard deviations, float32 [steps, channels]. Raises ItemError."""
    if len(view) < _HEADER.size:
        raise ItemError("the series has no header: cut it by node.modalities")
    steps, channels = _HEADER.unpack_from(view)
    if not SPAN_STEPS <= steps <= STEPS_MAX or steps % SPAN_STEPS or not 1 <= channels <= CHANNELS_MAX:
        raise ItemError(
            f"the series has {steps} steps of {channels} channels: it takes a multiple of {SPAN_STEPS} steps "
            f"up to {STEPS_MAX}, of 1 to {CHANNELS_MAX} channels"
        )
    if len(view) != _HEADER.size + steps * channels * 2 or len(view) > _HEADER.size + PAYLOAD_BYTES_MAX:
        raise ItemError(
            f"the series has {len(view)} bytes: it takes 2 a value and {PAYLOAD_BYTES_MAX} at most, "
            f"beside a header of {_HEADER.size}"
        )
    values = np.frombuffer(view, "<i2", offset=_HEADER.size).reshape(steps, channels)
    return values.astype(np.float32) * np.float32(1 / STEPS_PER_DEVIATION)


def encode_series(deviations: npt.NDArray[np.float64]) -> bytes:
    """The canonical item of standardised values [steps, channels], of an item's shape and finite."""
    steps, channels = deviations.shape
    values = np.clip(np.rint(deviations * STEPS_PER_DEVIATION), -32767, 32767).astype("<i2")
    return _HEADER.pack(steps, channels) + values.tobytes()
