"""Near-copies: how far two encoders are one, so that n copies of a model have about one say."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from scoring.rule import Ramp, ScoringRule


def likeness(cosine_sum: Tensor, cosine_count: Tensor, ramp: Ramp | None) -> Tensor:
    """Sums and counts of cosines over all views both answered -> [N, N] float64 in [0, 1], 1 on the diagonal.

    0 is two encoders, 1 is one. Pairs that share no view are two. No connected components: single linkage
    would chain honest relatives into one.
    """
    if ramp is None:
        return torch.eye(len(cosine_sum), dtype=torch.float64, device=cosine_sum.device)
    alike = ramp(cosine_sum / cosine_count.clamp_min(1)).masked_fill_(cosine_count == 0, 0.0)
    return (alike + alike.T).div_(2).fill_diagonal_(1)


def mass(alike: Tensor) -> Tensor:
    """How many encoders each one stands among, itself included. [N, N] -> [N] float64, at least 1."""
    return alike.sum(1)


def heard_by_medians(cosine_sum: Tensor, cosine_count: Tensor, rule: ScoringRule) -> Tensor:
    """As many of each kind as the rule says, whoever of it agrees most with all others. -> [n] bool.

    Sums and counts [n, n] of one role's cosines, 0 on the diagonal, on the CPU: one decision hangs on
    another, and a GPU would wait for each. Medians over these cannot be dragged by
    copies, whatever their number. More than one, and role by role, so that one cheat with an honest
    encoder's model never speaks in its place.
    """
    alike = likeness(cosine_sum, cosine_count, rule.clone_ramp).fill_diagonal_(0) >= rule.copy_likeness_min
    copies = alike.numpy()
    kept = np.zeros(len(copies), bool)
    for one in cosine_sum.sum(1).argsort(descending=True, stable=True).tolist():
        kept[one] = (copies[one] & kept).sum() < rule.heard_of_a_kind
    return torch.from_numpy(kept)
