"""Encoders: models that turn views into unit vectors of the shared space, all offline."""

from node.encoders.catalogue import DEFAULT_REFERENCE, ENCODER_NAMES, check_encoder, load_encoder
from node.encoders.encoder import DIMENSIONS, Encoder, EncoderError
from node.encoders.function_model import EncodeFunction
from node.encoders.torch_module import TorchFactory

__all__ = [
    "DEFAULT_REFERENCE",
    "DIMENSIONS",
    "ENCODER_NAMES",
    "EncodeFunction",
    "Encoder",
    "EncoderError",
    "TorchFactory",
    "check_encoder",
    "load_encoder",
]
