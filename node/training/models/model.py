"""A trainable model: a network for its modality, and once it has learnt from a network the lift above it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

from node.training.models.architecture import MODALITY_OF, Architecture, PatchNet, StepNet, TextBag
from node.training.models.image import PatchImageNet
from node.training.models.lift import Lift
from node.training.models.series import StepSeriesNet
from node.training.models.text import TextBagNet

View: TypeAlias = str | bytes
"""Text, or the canonical bytes of any other modality."""
EMBED_VIEWS: Final = 256
"""Embedded at once: activations of 256 images of 128 x 128 pixels take 200 MB."""

_NETS: Final[dict[type, Callable[[Any], nn.Module]]] = {
    TextBag: TextBagNet,
    PatchNet: PatchImageNet,
    StepNet: StepSeriesNet,
}


class EmbeddingModel(nn.Module):
    """Views of one modality -> rows [n, dimensions], before they are brought to unit norm."""

    def __init__(self, made_of: Architecture, net: nn.Module, lift: Lift | None = None) -> None:
        super().__init__()
        self.made_of = made_of
        self.net = net
        self.lift = lift

    @property
    def modality(self) -> str:
        """Of the views it takes."""
        return MODALITY_OF[type(self.made_of)]

    @property
    def dimensions(self) -> int:
        """Of its rows: its own, or those of the shared space under a lift."""
        return self.made_of.dimensions if self.lift is None else int(self.lift.matrix.shape[1])

    def forward(self, views: Sequence[View]) -> Tensor:
        """[n, dimensions]."""
        rows: Tensor = self.net(views)
        return rows if self.lift is None else self.lift(rows)

    @torch.no_grad()
    def embed(self, views: Sequence[View]) -> NDArray[np.float32]:
        """[n, dimensions] float32 at unit norm; zeros where a row has no direction."""
        parts = [
            normalize(self(views[start : start + EMBED_VIEWS]), dim=1).cpu()
            for start in range(0, len(views), EMBED_VIEWS)
        ]
        found = torch.cat(parts) if parts else torch.zeros(0, self.dimensions)
        rows: NDArray[np.float32] = found.numpy()
        return rows


def build_model(made_of: Architecture, seed: int = 0) -> EmbeddingModel:
    """A model with weights drawn from the seed, the same on every machine; draws nothing from torch's own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return EmbeddingModel(made_of, _NETS[type(made_of)](made_of))
