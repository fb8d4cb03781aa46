"""Small trainable models, one for each of text, images and series."""

from node.training.models.architecture import Architecture, PatchNet, StepNet, TextBag
from node.training.models.lift import Lift
from node.training.models.model import EmbeddingModel, View, build_model

__all__ = [
    "Architecture",
    "EmbeddingModel",
    "Lift",
    "PatchNet",
    "StepNet",
    "TextBag",
    "View",
    "build_model",
]
