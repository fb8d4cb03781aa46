"""The modalities a network can embed, one a network, named in genesis."""

from __future__ import annotations

from typing import Final

from protocol.items import ItemError
from protocol.modalities.dense import Grid, Side
from protocol.modalities.modality import Modality, Span, Units, spans_of
from protocol.modalities.raw import RawBytes
from protocol.modalities.text import Text

TEXT: Final = Text()
IMAGE: Final = Grid(
    "image",
    rows=Side("pixel rows", 16, 128, 16),
    columns=Side("pixel columns", 16, 128, 16),
    cell_bytes=3,
    neutral=128,
    share_percent_max=85,
    payload_bytes_max=128 * 128 * 3,
    z_order=True,
)
"""RGB, one byte a channel; a block is a patch, the neutral value mid grey. Pictures say things twice, so that
more of them can be masked."""
AUDIO: Final = Grid(
    "audio",
    rows=Side("frames", 8, 128, 8),
    columns=Side("bins", 256, 256, 32),
    cell_bytes=2,
    neutral=0,
    share_percent_max=60,
    payload_bytes_max=128 * 256 * 2,
    z_order=True,
)
"""Coefficients of a modified discrete cosine transform of 16 kHz mono sound, int16 little-endian; a block is
128 ms by 1 kHz, the neutral value silence. The transform is linear: mask and inverse add up to the sound."""
SERIES: Final = Grid(
    "series",
    rows=Side("steps", 8, 512, 8),
    columns=Side("channels", 1, 64, 1),
    cell_bytes=2,
    neutral=0,
    share_percent_max=60,
    payload_bytes_max=32 * 1024,
    z_order=False,
)
"""Channels standardised over their file, in steps of 1/4096, int16 little-endian; a block is 8 steps of one
channel, the neutral value the channel's mean."""
BYTES: Final = RawBytes()

MODALITIES: Final[dict[str, Modality]] = {m.name: m for m in (TEXT, IMAGE, AUDIO, SERIES, BYTES)}
ITEM_BYTES_MAX: Final = max(modality.item_bytes_max for modality in MODALITIES.values())
"""Of any modality: what a record may hold before its network is known."""

__all__ = [
    "AUDIO",
    "BYTES",
    "IMAGE",
    "ITEM_BYTES_MAX",
    "MODALITIES",
    "SERIES",
    "TEXT",
    "ItemError",
    "Modality",
    "Span",
    "Units",
    "spans_of",
]
