"""Euclidean distances between the encoders of each item, by torch: exact where vectors are close."""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import Tensor

from scoring.memory import DEVICE_NUMBERS, slices_of

NORM_MAX: Final = 1e15
"""Rows longer than this would overflow a float32 square; they count as missing."""
_RESOLUTION: Final = 1e-14
"""d^2 below this x (|a|^2 + |b|^2) is what a float64 product leaves of identical rows: they are."""
_EXACT_NUMBERS: Final = DEVICE_NUMBERS // 2
"""Coordinates that are held in float64 at a time, and twice as many as distances."""


class Pairs(NamedTuple):
    """Pairwise geometry of B independent items, N rows each."""

    distance: Tensor
    """[B, N, N] float32, zero diagonal; meaningless where either row is missing."""
    squared_norm: Tensor
    """[B, N] float32, zero for missing rows."""
    present: Tensor
    """[B, N] bool: finite, not absurdly long, and not marked missing."""

    @property
    def product(self) -> Tensor:
        """[B, N, N]: inner products, which are cosines when the rows have unit norm."""
        norms = self.squared_norm
        return (norms[:, :, None] + norms[:, None, :] - self.distance.square()) / 2

    @property
    def both(self) -> Tensor:
        """[B, N, N] bool: two different rows, both present."""
        pairs = self.present[:, :, None] & self.present[:, None, :]
        return pairs & ~torch.eye(pairs.shape[1], dtype=torch.bool, device=pairs.device)


def pairwise(rows: Tensor, valid: Tensor | None = None) -> Pairs:
    """Rows [B, N, D] (any batch and row strides), valid [B, N] -> their pairwise distances.

    Missing, non-finite and overflowing rows leave the distances of all other rows unchanged. |a|^2 + |b|^2 -
    2ab cancels half of the digits, so it is taken in float64 and around a row of the item: distances are
    right to 1e-5 down to a millionth of the rows' length, and cost the same whatever the rows hold.
    """
    items, count, dimension = rows.shape
    length = torch.linalg.vector_norm(rows, dim=2)
    present = length < NORM_MAX  # NaN and Inf compare false
    if valid is not None:
        present = present & valid
    length = torch.where(present, length, torch.nan)
    distance = torch.empty(items, count, count, device=rows.device)
    for part in slices_of(items, max(1, _EXACT_NUMBERS // max(1, count * dimension))):
        _measure(rows[part], length[part], present[part], distance[part])
    return Pairs(distance, length.square().nan_to_num_(0.0), present)


def _measure(rows: Tensor, length: Tensor, present: Tensor, distance: Tensor) -> None:
    """Write the distances [b, N, N] of rows [b, N, D], lengths [b, N] NaN where not present."""
    items, count, _ = rows.shape
    # Around the row of middle length: one row, not the mean, which a single long one could drag away from all
    # others.
    exact, middle = rows.double(), length.nanmedian(1).indices
    pivot = exact[torch.arange(items, device=rows.device), middle]
    exact.sub_(pivot[:, None]).masked_fill_(~present[:, :, None], 0.0)
    norms = torch.linalg.vector_norm(exact, dim=2).square_()  # [b, N]
    for part in slices_of(count, max(1, _EXACT_NUMBERS // (2 * items * count))):
        both = norms[:, part, None] + norms[:, None, :]
        squared = torch.baddbmm(both, exact[:, part], exact.mT, alpha=-2.0)  # [b, n, D] @ [b, D, N]
        squared.masked_fill_(squared < both.mul_(_RESOLUTION), 0.0)
        distance[:, part] = squared.sqrt_()
    distance.diagonal(dim1=1, dim2=2).zero_()
