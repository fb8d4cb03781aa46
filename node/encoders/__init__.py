"""Encoders: models that turn views into unit vectors of the shared space."""

from node.encoders.built_in import DEFAULT_REFERENCE, ENCODER_NAMES, REFERENCES, encoder_names
from node.encoders.catalogue import check_encoder, load_encoder
from node.encoders.encoder import DIMENSIONS, Encoder, EncoderError
from node.encoders.function_model import EncodeFunction
from node.encoders.torch_module import TorchFactory

__all__ = [
    "DEFAULT_REFERENCE",
    "DIMENSIONS",
    "ENCODER_NAMES",
    "REFERENCES",
    "EncodeFunction",
    "Encoder",
    "EncoderError",
    "TorchFactory",
    "check_encoder",
    "encoder_names",
    "load_encoder",
]
