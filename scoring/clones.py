"""Near-copies: how far two encoders are one, so that n copies of a model share about one vote."""

from __future__ import annotations

import torch
from torch import Tensor

from scoring.rule import Ramp


def likeness(cosine_sum: Tensor, cosine_count: Tensor, ramp: Ramp | None) -> Tensor:
    """Sums and counts of cosines over all views both answered -> [N, N] float64 in [0, 1], 1 on the diagonal.

    0 is two encoders, 1 is one. Pairs that share no view are two. No connected components: single linkage
    would chain honest relatives into one.
    """
    count = cosine_sum.shape[0]
    same = torch.eye(count, dtype=torch.float64, device=cosine_sum.device)
    if ramp is None:
        return same
    mean = cosine_sum / cosine_count.clamp_min(1)
    alike = torch.where(cosine_count > 0, ramp(mean), 0.0)
    return torch.maximum((alike + alike.T) / 2, same)


def mass(alike: Tensor) -> Tensor:
    """How many encoders each one stands among, itself included. [N, N] -> [N] float64, at least 1."""
    return alike.sum(1)
