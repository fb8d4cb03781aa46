"""Cross-fitted weights: those with which two random halves of the encoders understand each other best.

Fitted on past rounds. Leaks and constants would win it, so only encoders that pass the gates take part; a
random fit cannot be recomputed by attesters, so the rule does not use it: it says what better weights could
reach.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from scoring.errors import ScoringError
from scoring.projection import unit
from scoring.weights import capped


@dataclass(frozen=True)
class CrossFitRule:
    """Every constant of the fit."""

    steps: int = 120
    learning_rate: float = 0.1
    """Of Adam, for the logits of the weights and for the log of the temperature."""
    temperature: float = 0.1
    """What it starts from; it is learnt with the weights."""
    block_items: int = 64
    """Items drawn for each step: a mask must find its own inverse among so many."""
    weight_cap: float = 0.25
    """The largest weight of one encoder together with its near-copies, or more if too few are left."""


CROSS_FIT: Final = CrossFitRule()


def cross_fitted_weights(
    mask: Tensor,
    inverse: Tensor,
    valid: Tensor,
    score: Tensor,
    generator: torch.Generator,
    rule: CrossFitRule = CROSS_FIT,
    *,
    alike: Tensor | None = None,
) -> Tensor:
    """Fit weights with which one half's mask consensus finds the other half's inverse. -> [N] float64.

    mask, inverse: centred answers at unit norm [N, I, K, D]; valid [N, I]; score S [N], encoders with
    S = 0 get nothing and change nothing; alike [N, N] from `clones`, each encoder itself by default. Every
    step draws a half of the encoders, a mask and a block of items from `generator` (CPU); the loss is the
    cross-entropy both ways. Sums to 1, or 0 if nobody scores. The same generator state gives the same
    weights; a sum in another order (device, threads) gives nearly the same. Raises ScoringError when shapes
    disagree or there are fewer than two items.
    """
    encoders, items, masks, _ = mask.shape
    if inverse.shape != mask.shape or valid.shape != (encoders, items) or score.shape != (encoders,):
        raise ScoringError(
            f"mask {tuple(mask.shape)}, inverse {tuple(inverse.shape)}, valid {tuple(valid.shape)}, score "
            f"{tuple(score.shape)}: give [N,I,K,D] twice, [N,I] and [N]"
        )
    if items < 2 or masks < 1:
        raise ScoringError(
            f"{items} items with {masks} masks: a mask needs another item's inverse to be told from, so give "
            "at least 2 items and 1 mask"
        )
    weight = torch.zeros(encoders, dtype=torch.float64, device=mask.device)
    members = (score > 0).nonzero()[:, 0]
    if len(members) == 0:
        return weight
    present = valid[members][:, :, None, None]  # [n, I, 1, 1]
    parts = [torch.where(present, rows[members], 0.0).float() for rows in (mask, inverse)]
    share = _fitted(parts[0], parts[1], generator, rule).double()
    same = torch.eye(encoders, dtype=torch.float64, device=mask.device) if alike is None else alike
    near = same[members][:, members]
    independent = float((1 / near.sum(1)).sum())
    weight[members] = capped(share, near, max(rule.weight_cap, 1 / independent))
    return weight


def _fitted(mask: Tensor, inverse: Tensor, generator: torch.Generator, rule: CrossFitRule) -> Tensor:
    """The softmax after all steps. Rows [n, I, K, D], zero where withheld -> [n]."""
    encoders, items, masks, _ = mask.shape
    device = mask.device
    logits = torch.zeros(encoders, device=device, requires_grad=True)
    log_temperature = torch.tensor(math.log(rule.temperature), device=device, requires_grad=True)
    optimiser = torch.optim.Adam([logits, log_temperature], lr=rule.learning_rate)
    for step in range(rule.steps):
        block = torch.randperm(items, generator=generator)[: rule.block_items].to(device)
        half = torch.zeros(encoders)
        half[torch.randperm(encoders, generator=generator)[: encoders // 2]] = 1
        half = half.to(device)
        k = step % masks
        with torch.enable_grad():
            share = torch.softmax(logits, 0)
            one = _consensus(mask[:, block, k], share * half)  # [b, D]
            other = _consensus(inverse[:, block, k], share * (1 - half))  # [b, D]
            cosine = one @ other.T / log_temperature.exp()  # [b, D] @ [D, b]
            own = torch.arange(len(block), device=device)
            loss = cross_entropy(cosine, own) + cross_entropy(cosine.T, own)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return torch.softmax(logits.detach(), 0)


def _consensus(rows: Tensor, share: Tensor) -> Tensor:
    """Weighted sum of the encoders at unit norm. [n, b, D], [n] -> [b, D]."""
    return unit(torch.einsum("n,nbd->bd", share, rows))
