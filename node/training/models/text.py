"""The text model: vectors of hashed words and character n-grams, their weighted mean, a linear head."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from node.training.models.architecture import TextBag
from node.training.models.grams import hashed_views


class TextBagNet(nn.Module):
    """Nearly additive, as the differential loss wants it: the head is linear and starts as the identity."""

    def __init__(self, made_of: TextBag) -> None:
        super().__init__()
        self.made_of = made_of
        self.bag = nn.EmbeddingBag(made_of.buckets, made_of.width, mode="sum", sparse=True)
        nn.init.normal_(self.bag.weight, std=made_of.width**-0.5)
        self.head = nn.Linear(made_of.width, made_of.dimensions, bias=False)
        nn.init.eye_(self.head.weight)

    def forward(self, views: Sequence[str]) -> Tensor:
        """[n, dimensions]; zeros for a view without a word."""
        made_of, device = self.made_of, self.head.weight.device
        slots, starts, weights = hashed_views(views, made_of.buckets, made_of.gram_characters)
        parts = (torch.from_numpy(part).to(device) for part in (slots, starts, weights))
        flat, offsets, shares = parts
        pooled = self.bag(flat, offsets, per_sample_weights=shares)
        rows: Tensor = self.head(pooled)
        return rows
