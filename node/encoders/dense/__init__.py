"""Encoders of images, sound, series and raw bytes that need no model file: fixed features, pooled over units.

They know what every unit of a view looks like and nothing that was learnt, so that anyone computes the same
vectors, to the tolerance of floats, from the code alone. What is neutral is skipped: a mask shows them less,
and nothing else.
"""

from typing import Final

from node.encoders.dense.audio import AUDIO_ENCODERS
from node.encoders.dense.image import IMAGE_ENCODERS
from node.encoders.dense.pooled import DenseEncoder
from node.encoders.dense.raw import RAW_ENCODERS
from node.encoders.dense.series import SERIES_ENCODERS

_ENCODERS: Final = {
    encoder.name: encoder for encoder in (*IMAGE_ENCODERS, *AUDIO_ENCODERS, *SERIES_ENCODERS, *RAW_ENCODERS)
}


def dense_encoder(name: str) -> DenseEncoder:
    """A dense encoder by its name. Raises KeyError where there is none."""
    return _ENCODERS[name]


__all__ = ["DenseEncoder", "dense_encoder"]
