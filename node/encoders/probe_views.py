"""A few fixed views of each modality, as models see them, to tell models apart by their answers."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

_SENTENCES: Final = (
    "a",
    "The quick brown fox jumps over the lazy dog.",
    "Return the number of items in a container.",
    "winter rain on a tin roof",
)
_SIDE_PIXELS: Final = 32
_STEPS: Final = 64
_SAMPLES: Final = 4096
_RATE_HZ: Final = 16_000


def probe_views(modality: str) -> list[Any]:
    """Four views, the same on every machine: what `node.modalities.decode_view` gives for that modality.

    Raises ValueError for a modality that does not exist.
    """
    match modality:
        case "text":
            return list(_SENTENCES)
        case "bytes":
            return [sentence.encode() for sentence in _SENTENCES]
        case "image":
            row, column = np.mgrid[:_SIDE_PIXELS, :_SIDE_PIXELS]
            planes = (row * 8, column * 8, (row ^ column) * 8, (row // 8 + column // 8) % 2 * 255)
            return [
                np.stack((planes[n], planes[(n + 1) % 4], planes[n] // 2), 2).astype(np.uint8)
                for n in range(4)
            ]
        case "audio":
            time_s = np.arange(_SAMPLES) / _RATE_HZ
            return [
                (0.5 * np.sin(2 * np.pi * hz * time_s)).astype(np.float32) for hz in (110, 440, 1000, 3000)
            ]
        case "series":
            steps = np.arange(_STEPS)[:, None]
            return [np.sin(steps / period).astype(np.float32) for period in (2, 5, 11, 23)]
    raise ValueError(f"there is no modality '{modality}'")
