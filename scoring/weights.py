"""Weights in the consensus: scores sharpened, shared among copies, and capped."""

from __future__ import annotations

import torch
from torch import Tensor

from scoring.compiled.caps import cap_shares

_CAP_ROUNDS_MAX = 256
_CAP_SLACK = 1e-12


def weights(score: Tensor, alike: Tensor, mass: Tensor, *, power: float, cap: float) -> Tensor:
    """w ~ score^power / mass, capped for each encoder with its near-copies. -> [N] float64, sum 1 or 0.

    score [N] in [0, 1]; alike [N, N] and mass [N] from `clones`. The cap is max(cap, 1 / sum of s/mass), s an
    encoder's score over the best one's: with fewer independent encoders than 1/cap somebody must have more.
    The sum counts an encoder by its score, or one that hardly scores would be lifted to fill the cap.
    """
    raw = score.double().clamp_min(0).pow(power) / mass
    raw = torch.where(score > 0, raw, 0.0)  # 0 ** 0 is 1
    total = raw.sum()
    if not bool(total > 0):
        return torch.zeros_like(raw)
    independent = (score.double() / score.max() / mass).sum()
    return capped(raw / total, alike, max(cap, 1 / float(independent)))


def capped(share: Tensor, alike: Tensor, cap: float) -> Tensor:
    """Shrink every neighbourhood above the cap as one and renormalise, until none is above it.

    What is cut flows to all others in proportion. Soft likeness is not transitive, so that some caps cannot
    be met (a middle encoder that is half of everybody), and those near 1 only slowly: the rounds are bounded
    and the last shares stand. share [N], alike [N, N] on any device -> [N] float64.
    """
    found = share.double().cpu().clone()
    # Rounds are decided one by one: a GPU would wait for each, and calls to torch take longer than the sums.
    cap_shares(found.numpy(), alike.double().cpu().contiguous().numpy(), cap, _CAP_ROUNDS_MAX, _CAP_SLACK)
    return found.to(share.device)
