"""Leak: whether a fragment carries what only the other fragment of the item should say."""

from __future__ import annotations

import torch
from torch import Tensor

from scoring.projection import dot_items, mean_over, rest_norm, without


def leak(fragments: tuple[Tensor, Tensor], medians: tuple[Tensor, Tensor], counted: Tensor) -> Tensor:
    """Worse role's mean of cos(m without m_c, v_c without m_c) and its mirror. -> [N] float64.

    fragments: (mask, inverse), each [N, I, D]; medians over the shard at unit norm, each [I, D]; counted
    [N, I].
    """
    roles = []
    for own, other in ((0, 1), (1, 0)):
        fragment, axis = fragments[own], medians[own]
        target = without(
            medians[other], axis
        )  # orthogonal to the axis, so the axis' part of the row drops out
        agreement = dot_items(fragment, target) / rest_norm(dot_items(fragment, axis))
        roles.append(mean_over(agreement, counted, 0.0))
    return torch.maximum(*roles)
