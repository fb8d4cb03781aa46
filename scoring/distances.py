"""Euclidean distances between the encoders of each item, exact where vectors are close."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from scoring.memory import slices_of

_DIRECT_ROWS_MAX = 256
"""Up to so many rows of an item all differences are taken; a Gram matrix does more rows in less time."""
_TRUSTED_RATIO = 4e-3
"""A float32 Gram matrix is trusted for a pair if d^2 >= this x (|a|^2 + |b|^2): d is then right to 2e-5."""
_CLOSE_SHARE = 0.02
"""An item with a larger share of close pairs is done again whole, around one of its own rows."""
_PAIRS_CHUNK = 256
"""Close pairs subtracted at a time: bounds the working memory to this x D numbers."""
_ROWS_CHUNK = 128
"""Rows whose pairs are counted or ranked at a time."""
_CROWDED_NUMBERS = 1 << 24
"""Distances of crowded items that are made again at a time."""
NORM_MAX = 1e15
"""Rows longer than this would overflow a float32 square; they count as missing."""


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

    Missing, non-finite and overflowing rows leave the distances of all other rows unchanged. Few rows are
    subtracted from each other, which costs the same whatever they hold. Distances of many come from a float32
    Gram matrix, except close pairs, whose digits it cancels: those come from differences.
    """
    length = torch.linalg.vector_norm(rows, dim=2)
    present = length < NORM_MAX  # NaN and Inf compare false
    if valid is not None:
        present = present & valid
    if rows.shape[1] <= _DIRECT_ROWS_MAX:
        rows = rows.contiguous()  # or cdist copies it twice
        distance = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
        return Pairs(distance, torch.where(present, length.square(), 0.0), present)
    if not bool(present.all()):
        rows = torch.where(present[:, :, None], rows, 0.0)
    squared, norms = _squared_from_gram(rows)
    close = _close(squared, norms, present)
    if bool(close.any()):
        _refine(rows, squared, close, present)
    squared.diagonal(dim1=1, dim2=2).zero_()
    return Pairs(squared.clamp_min_(0).sqrt_(), norms, present)


def _squared_from_gram(rows: Tensor) -> tuple[Tensor, Tensor]:
    """|a|^2 + |b|^2 - 2ab. [B, N, D] -> [B, N, N] and the squared norms [B, N]."""
    gram = torch.bmm(rows, rows.transpose(1, 2))  # [B, N, D] @ [B, D, N] -> [B, N, N]
    norms = gram.diagonal(dim1=1, dim2=2).clone()
    return gram.mul_(-2).add_(norms[:, :, None]).add_(norms[:, None, :]), norms


def _close(squared: Tensor, norms: Tensor, present: Tensor) -> Tensor:
    """Pairs i < j of present rows whose Gram distance has lost its digits. -> [B, N, N] bool."""
    least = _TRUSTED_RATIO * norms
    near = torch.empty(squared.shape, dtype=torch.bool, device=squared.device)
    for part in slices_of(squared.shape[1], _ROWS_CHUNK):
        near[:, part] = squared[:, part] < least[:, part, None] + least[:, None, :]
        near[:, part] &= present[:, part, None] & present[:, None, :]
    return near.triu_(1)


def _refine(rows: Tensor, squared: Tensor, close: Tensor, present: Tensor) -> None:
    """Replace, in place, the squared distances of close pairs by exact ones."""
    count = rows.shape[1]
    parts = list(slices_of(count, _ROWS_CHUNK))
    pairs = torch.stack([close[:, part].sum((1, 2)) for part in parts]).sum(0)  # [B]
    crowded = (pairs > _CLOSE_SHARE * count * count).nonzero()[:, 0]
    for group in slices_of(len(crowded), max(1, _CROWDED_NUMBERS // (count * count))):
        items = crowded[group]
        # Around a row of the densest half, near-copies are short vectors again and keep their digits. The
        # pivot is one row, not the mean, which one long row could drag away from all others.
        some, here = rows[items], present[items]
        middle = torch.cat([_middle_distance(squared[items, part], here, part) for part in parts], 1)
        at = torch.arange(len(items), device=rows.device)
        centred = some.sub_(some[at, middle.argmin(1)][:, None]).masked_fill_(~here[:, :, None], 0.0)
        measured, norms = _squared_from_gram(centred)
        close[items] = _close(measured, norms, here)
        squared[items] = measured
    _subtract(rows, squared, close)


def _middle_distance(squared: Tensor, here: Tensor, part: slice) -> Tensor:
    """Squared distance of some rows to the middle one of all, inf for the absent. [B, n, N] -> [B, n]."""
    apart = squared.masked_fill(~(here[:, part, None] & here[:, None, :]), torch.inf)
    return apart.kthvalue(max(1, here.shape[1] // 2), dim=2).values


def _subtract(rows: Tensor, squared: Tensor, pairs: Tensor) -> None:
    """Write |a - b|^2 of every marked pair, differences first, on both sides of the diagonal."""
    listed = pairs.nonzero()
    for start in range(0, len(listed), _PAIRS_CHUNK):
        item, a, b = listed[start : start + _PAIRS_CHUNK].unbind(1)
        exact = (rows[item, a] - rows[item, b]).square_().sum(1)
        squared[item, a, b] = exact
        squared[item, b, a] = exact
