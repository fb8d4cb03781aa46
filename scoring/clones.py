"""Near-copies: how far two encoders are one, so that n copies of a model have about one say."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from scoring.pair_sums import mirrored, row_slices, rows_from_below
from scoring.rule import Ramp, ScoringRule


def likeness(cosine_sum: Tensor, here: Tensor, ramp: Ramp | None) -> Tensor:
    """How far every two encoders are one. -> [N, N] float64 in [0, 1], 1 on the diagonal, in place.

    Above the diagonal of cosine_sum [N, N] float64, sums of cosines over the views that both answered; here
    [N, V] float64, 1 where an encoder did. 0 is two encoders, 1 is one. Pairs that share no view are two. No
    connected components: single linkage would chain honest relatives into one.
    """
    for part in row_slices(len(cosine_sum)):
        pairs = cosine_sum[part, part.start :]
        pairs.copy_(_alike(pairs, here[part] @ here[part.start :].T, ramp))
    return mirrored(cosine_sum).fill_diagonal_(1)


def _alike(cosine_sum: Tensor, cosine_count: Tensor, ramp: Ramp | None) -> Tensor:
    """Sums and counts of cosines of some pairs -> how far each is one."""
    if ramp is None:
        return torch.zeros_like(cosine_sum)
    return ramp(cosine_sum / cosine_count.clamp_min(1)).masked_fill_(cosine_count == 0, 0.0)


def mass(alike: Tensor) -> Tensor:
    """How many encoders each one stands among, itself included. [N, N] -> [N] float64, at least 1."""
    return alike.sum(1)


def heard_by_medians(cosine_sum: Tensor, here: Tensor, rule: ScoringRule) -> Tensor:
    """As many of each kind as the rule says, whoever of it agrees most with all others. -> [n] bool.

    Below the diagonal of cosine_sum [n, n], one role's sums over the views that both answered; here [n, V]
    float64, 1 where an encoder did. On the CPU: one decision hangs on another, and a GPU would wait for
    each. Medians over these cannot be dragged by copies, whatever their number. More than one, and role by
    role, so that one cheat with an honest encoder's model never speaks in its place.
    """
    count = len(cosine_sum)
    agreement, copies = torch.empty(count, dtype=torch.float64), torch.empty(count, count, dtype=torch.bool)
    for part in row_slices(count):
        sums = rows_from_below(cosine_sum, part)
        agreement[part] = sums.sum(1)
        copies[part] = _alike(sums, here[part] @ here.T, rule.clone_ramp) >= rule.copy_likeness_min
    others, kept = copies.fill_diagonal_(False).numpy(), np.zeros(count, bool)
    for one in agreement.argsort(descending=True, stable=True).tolist():
        kept[one] = (others[one] & kept).sum() < rule.heard_of_a_kind
    return torch.from_numpy(kept)
