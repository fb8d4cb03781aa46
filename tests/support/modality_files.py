"""Small sound files of every modality but text, each of which makes one item."""

from __future__ import annotations

import io
from base64 import b64encode
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from PIL import Image

Values = np.ndarray[Any, Any]

WALK: Final = np.cumsum(np.random.default_rng(7).standard_normal((64, 3)), axis=0).round(6)
"""A series of one window: 64 steps of three channels."""


def sound(kind: str = "WAV", seconds: float = 1.5, rate_hz: int = 16_000, channels: int = 1) -> bytes:
    """Three partials that fade, the same on every channel."""
    times_s = np.arange(int(seconds * rate_hz)) / rate_hz
    wave = sum(np.sin(2 * np.pi * hz * times_s) for hz in (220, 663, 1_109)) * np.exp(-times_s) / 4
    # Whole numbers: libsndfile rounds others to 16 bits one way for WAV and another for FLAC.
    samples = np.rint(wave * 32_767).astype(np.int16)
    written = io.BytesIO()
    soundfile.write(written, np.repeat(samples[:, None], channels, axis=1), rate_hz, format=kind)
    return written.getvalue()


def csv(values: Values = WALK) -> bytes:
    """Channels as columns under a header."""
    lines = [",".join(f"channel {column}" for column in range(values.shape[1]))]
    lines += [",".join(f"{value:.6f}" for value in row) for row in values]
    return "\n".join(lines).encode()


def npy(values: Values = WALK) -> bytes:
    """As `numpy.save` writes it."""
    written = io.BytesIO()
    np.save(written, values)
    return written.getvalue()


def parquet(values: Values = WALK) -> bytes:
    """A column a channel."""
    written = io.BytesIO()
    pq.write_table(pa.table({f"channel {column}": row for column, row in enumerate(values.T)}), written)
    return written.getvalue()


def png() -> bytes:
    """Noise, 64 by 64."""
    pixels = np.random.default_rng(4).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    return written.getvalue()


FILES: Final[dict[str, tuple[str, bytes]]] = {
    "PNG": ("image", png()),
    "WAV": ("audio", sound()),
    "WAV of 44.1 kHz in stereo": ("audio", sound(rate_hz=44_100, channels=2)),
    "FLAC": ("audio", sound("FLAC")),
    "CSV": ("series", csv()),
    "NPY": ("series", npy()),
    "Parquet": ("series", parquet()),
    "bytes": ("bytes", b"\x7fELF and whatever follows \xff\x00"),
}
"""By kind: the modality and what the file holds."""
OF: Final = {
    "image": "PNG",
    "audio": "WAV",
    "series": "CSV",
    "bytes": "bytes",
}
"""One of each modality."""


def in_base64(data: bytes) -> str:
    """As an input of a request."""
    return b64encode(data).decode()
