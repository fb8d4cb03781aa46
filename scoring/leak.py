"""Leak: whether a fragment carries what only the other fragment of the item should say."""

from __future__ import annotations

from torch import Tensor

from scoring.projection import dot_items, rest_norm, without


def leak(fragment: Tensor, median_own: Tensor, median_other: Tensor) -> Tensor:
    """cos(m without m_c, v_c without m_c) for fragments m and the medians of both roles. -> [B, N].

    fragment: unit rows [B, N, D]; medians over the shard at unit norm [B, D].
    """
    # Orthogonal to the axis, so that the axis' part of the row drops out.
    target = without(median_other, median_own)
    return dot_items(fragment, target) / rest_norm(dot_items(fragment, median_own))
