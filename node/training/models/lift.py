"""The last layer of a model that has learnt from a network: the map into the shared space."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from node.encoders.alignment import AffineMap


class Lift(nn.Module):
    """unit(rows) [n, d] -> (unit(rows) - source_mean) @ matrix + target_mean [n, 1024].

    The map an encoder's alignment has fitted, kept as it is while what lies below it learns: learning must
    not turn the whole space, for that would be undone by the next alignment.
    """

    source_mean: Tensor
    matrix: Tensor
    target_mean: Tensor

    def __init__(self, source_mean: Tensor, matrix: Tensor, target_mean: Tensor) -> None:
        super().__init__()
        self.register_buffer("source_mean", source_mean)
        self.register_buffer("matrix", matrix)
        self.register_buffer("target_mean", target_mean)

    @classmethod
    def of(cls, fitted: AffineMap) -> Lift:
        """The layer of a fitted map."""
        parts = (fitted.source_mean, fitted.matrix, fitted.target_mean)
        return cls(*(torch.from_numpy(part.copy()) for part in parts))

    @classmethod
    def empty(cls, native: int, shared: int) -> Lift:
        """To read weights into."""
        return cls(torch.zeros(native), torch.zeros(native, shared), torch.zeros(shared))

    def forward(self, rows: Tensor) -> Tensor:
        """[n, d] -> [n, 1024], not of unit norm."""
        return (normalize(rows, dim=1) - self.source_mean) @ self.matrix + self.target_mean
