"""Innovation: what a fragment says beyond the full view, and whether the shard's median says it too."""

from __future__ import annotations

from torch import Tensor

from scoring.projection import dot, dot_items, rest_norm, without


def innovation(fragment: Tensor, full: Tensor, median_fragment: Tensor, median_full: Tensor) -> Tensor:
    """Cosine of each fragment without its full and the median fragment without the median full. -> [B, N].

    fragment, full: unit rows [B, N, D]; medians over the shard at unit norm [B, D]. A fragment made out of
    the full view has nothing of its own and scores about 0.
    """
    target = without(median_fragment, median_full)  # [B, D]
    along = dot(fragment, full)  # [B, N]
    agreement = dot_items(fragment, target) - along * dot_items(full, target)
    return agreement / rest_norm(along)
