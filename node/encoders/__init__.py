"""Encoders: models that turn views into unit vectors of the shared space, all offline."""

from node.encoders.catalogue import DEFAULT_REFERENCE, ENCODER_NAMES, check_encoder, load_encoder
from node.encoders.encoder import DIMENSIONS, Encoder, EncoderError

__all__ = [
    "DEFAULT_REFERENCE",
    "DIMENSIONS",
    "ENCODER_NAMES",
    "Encoder",
    "EncoderError",
    "check_encoder",
    "load_encoder",
]
