"""Differential loss: how well the embeddings of a mask and of its inverse recompose that of the whole."""

from __future__ import annotations

from typing import Final

from torch import Tensor
from torch.nn.functional import normalize

from scoring.errors import ScoringError
from scoring.losses.shapes import checked, distance, squared_distance

FOREIGN_MIN: Final = 1e-12
"""Below it all items are one. The rule stops at 1e-6, where other gates have closed: here a model that
collapses must not have won."""


def differential_literal(full: Tensor, mask: Tensor, inverse: Tensor) -> Tensor:
    """Mean over items of ||f - m - v||; rows [n, d] each.

    From "Embedding(full_data) - Embedding(mask) ~ Embedding(inverse_mask)". Zero rows win it: mix it with a
    loss that keeps items apart. Raises ScoringError when shapes disagree.
    """
    checked(full, mask, inverse)
    return distance(full, mask + inverse).mean()


def differential(full: Tensor, mask: Tensor, inverse: Tensor, share: Tensor) -> Tensor:
    """The form that is scored: R = mean_i (||f_i - r_i||^2 / mean_{j != i} ||f_j - r_i||^2).

    r_i = hat(s_i hat(m_i) + (1 - s_i) hat(v_i)), f_i at unit norm too; s is `share` [n], the mask's share of
    the item. The own residual over the residual to the others' items: no collapse wins it. Means are not
    taken off here, as the rule does. Rows [n, d], two or more. Raises ScoringError when shapes disagree.
    """
    checked(full, mask, inverse)
    count = len(full)
    if share.shape != (count,) or count < 2:
        raise ScoringError(
            f"the differential loss takes two or more items and a share each, not {count} items and "
            f"{list(share.shape)} shares: give a batch of two or more"
        )
    whole = normalize(full, dim=1)
    part = share.to(full.dtype)[:, None]
    recomposed = normalize(part * normalize(mask, dim=1) + (1 - part) * normalize(inverse, dim=1), dim=1)
    own = squared_distance(whole, recomposed)
    # Around the mean sum_j f_j = 0: sum_j ||f_j - r_i||^2 = sum_j ||f_j||^2 + n ||r_i||^2 loses no digits.
    mean = whole.mean(dim=0)
    sums = (whole - mean).square().sum() + count * (recomposed - mean).square().sum(dim=1)
    foreign = (sums - own) / (count - 1)
    return (own / foreign.clamp_min(FOREIGN_MIN)).mean()
