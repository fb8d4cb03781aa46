"""Multi-class N-pair loss and InfoNCE: find one's own positive among those of all others."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from scoring.errors import ScoringError
from scoring.losses.shapes import checked, checked_negatives


def n_pair(anchor: Tensor, positive: Tensor, negatives: Tensor | None = None) -> Tensor:
    """L = (1 / N) sum_i log(1 + sum_{j != i} exp(f_i . f_j+ - f_i . f_i+)); rows [n, d] of any norm.

    Sohn, "Improved Deep Metric Learning with Multi-class N-pair Loss Objective" (2016), equation 5, without
    the penalty on norms. `negatives` [n, n] says which j count; all others by default. Raises ScoringError
    when shapes disagree.
    """
    checked(anchor, positive)
    return _found(anchor @ positive.T, checked_negatives(negatives, anchor))


def info_nce(
    anchor: Tensor, positive: Tensor, negatives: Tensor | None = None, temperature: float = 0.1
) -> Tensor:
    """The mean of both directions of -log(exp(cos_ii / tau) / sum_j exp(cos_ij / tau)); rows [n, d].

    The loss the discrimination G of the scoring rule is made of (van den Oord et al., 2018; both ways as in
    "Text and Code Embeddings by Contrastive Pre-Training", 2022). Raises ScoringError when shapes disagree
    or the temperature is not positive.
    """
    checked(anchor, positive)
    if not temperature > 0:
        raise ScoringError(f"a temperature is above 0, not {temperature}: 0.05 to 0.2 are usual")
    apart = checked_negatives(negatives, anchor)
    logits = normalize(anchor, dim=1) @ normalize(positive, dim=1).T / temperature  # [n, n]
    return (_found(logits, apart) + _found(logits.T, apart.T)) / 2


def _found(logits: Tensor, apart: Tensor) -> Tensor:
    """Cross-entropy of row i finding column i among its negatives."""
    own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    counted = logits.masked_fill(~(apart | own), -torch.inf)
    return cross_entropy(counted, torch.arange(len(logits), device=logits.device))
