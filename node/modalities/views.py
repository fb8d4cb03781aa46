"""What a model sees of a view: its canonical bytes as the array, text or bytes a model of that kind takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from node.modalities.audio_item import decode_audio
from node.modalities.image_item import decode_image
from node.modalities.series_item import decode_series

ModelView: TypeAlias = str | bytes | npt.NDArray[np.uint8] | npt.NDArray[np.float32]
"""Text: str; bytes: bytes; image: uint8 [height, width, 3]; audio: float32 [samples]; series: float32 [steps,
channels]."""


def decode_view(modality: str, view: str | bytes) -> ModelView:
    """What a model sees of a view of a network that embeds `modality`; arrays are the caller's own.

    Masked units of a dense view hold the neutral value; text and bytes views lack them. Raises ItemError for
    bytes that are no view of the modality, ValueError for a modality that does not exist.
    """
    if isinstance(view, str):
        return view
    decode = _DECODERS.get(modality)
    if decode is None:
        raise ValueError(f"there is no modality {modality!r}: it is one of {', '.join(sorted(_DECODERS))}")
    return decode(view)


_DECODERS: Final[dict[str, Callable[[bytes], ModelView]]] = {
    "audio": decode_audio,
    "bytes": bytes,
    "image": decode_image,
    "series": decode_series,
    "text": lambda view: str(view, "utf-8"),
}
