"""Innovation: what a fragment says beyond the full view, and whether the shard's median says it too."""

from __future__ import annotations

import torch
from torch import Tensor

from scoring.projection import dot, dot_items, mean_over, rest_norm, without


def innovation(
    fragments: tuple[Tensor, Tensor],
    full: Tensor,
    median_fragments: tuple[Tensor, Tensor],
    median_full: Tensor,
    counted: Tensor,
) -> Tensor:
    """Worse role's mean cosine of fragment without own full and median fragment without median full. -> [N].

    fragments: (mask, inverse), each [N, I, D]; full [N, I, D]; medians at unit norm [I, D]; counted [N, I]. A
    fragment made out of the full view has nothing of its own and scores about 0.
    """
    roles = []
    for fragment, middle in zip(fragments, median_fragments, strict=True):
        target = without(middle, median_full)  # [I, D]
        along = dot(fragment, full)  # [N, I]
        agreement = dot_items(fragment, target) - along * dot_items(full, target)
        roles.append(mean_over(agreement / rest_norm(along), counted, 0.0))
    return torch.minimum(*roles)
