"""Weights in the consensus: scores sharpened, shared among copies, and capped."""

from __future__ import annotations

import torch
from torch import Tensor

_CAP_ROUNDS_MAX = 256
_CAP_SLACK = 1e-12


def weights(score: Tensor, alike: Tensor, mass: Tensor, *, power: float, cap: float) -> Tensor:
    """w ~ score^power / mass, capped for each encoder with its near-copies. -> [N] float64, sum 1 or 0.

    score [N] in [0, 1]; alike [N, N] and mass [N] from `clones`. The cap is max(cap, 1 / sum of s/mass), s an
    encoder's score over the best one's: with fewer independent encoders than 1/cap somebody must have more.
    The sum counts an encoder by its score, or one that hardly scores would be lifted to fill the cap. All on
    the CPU: whether to go on capping is decided round by round, and a GPU would wait for each.
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
    and the last shares stand.
    """
    for _ in range(_CAP_ROUNDS_MAX):
        together = alike @ share  # [N]
        excess = (1 - cap / together.clamp_min(cap)) * (share > 0)  # [N] what each neighbourhood must give up
        if not bool((excess > _CAP_SLACK).any()):
            break
        # A member gives up as much of its share as it is one with the worst offender.
        share = share * (1 - (alike * excess[None, :]).amax(1))
        share = share / share.sum()
    return share
