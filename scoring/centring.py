"""Centring: x <- hat(hat(x) - mean of that encoder's own vectors)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from scoring.views import Role, Views

_NORM_MIN = 1e-12


class Centred(NamedTuple):
    """One role's answers, ready to be compared across encoders."""

    rows: Tensor
    """[N, I, D] float32 at unit norm; zeros where the answer or its centred form has no direction."""
    norm: Tensor
    """[N, I] norm of the answer as it came; NaN or Inf where it is withheld or overflows."""
    centred_norm: Tensor
    """[N, I] norm of the unit answer less the mean, before it was scaled to 1."""


def directions(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Answers [N, I, D] -> (factors [N, I] that give them unit norm, norms [N, I]).

    A factor is 0 where the answer is not finite or has no direction.
    """
    norm = torch.linalg.vector_norm(rows, dim=2)
    known = norm.isfinite() & (norm > _NORM_MIN)
    return torch.where(known, 1 / norm.clamp_min(_NORM_MIN), 0.0), norm


def finite(rows: Tensor, norm: Tensor) -> Tensor:
    """The rows with every withheld one zeroed; copied only if there is one."""
    known = norm.isfinite()
    return rows if bool(known.all()) else torch.where(known[:, :, None], rows, 0.0)


def shard_means(views: Views) -> Tensor:
    """Mean of each encoder's own unit answers over the whole shard. -> [N, D] float32.

    Over every finite answer, valid or not: validity is decided after centring, and a mean that followed it
    would make an attester who recomputes with the dealer's mask centre differently.
    """
    encoders, _, dimension = views.full.shape
    total = torch.zeros(encoders, dimension, dtype=torch.float64, device=views.full.device)
    count = torch.zeros(encoders, dtype=torch.float64, device=views.full.device)
    for role in views.roles():
        rows = views.answers(role)
        factor, norm = directions(rows)
        factor = factor * views.dealt(role)
        summed = torch.bmm(factor[:, None, :], finite(rows, norm))[:, 0]  # [N, 1, I] @ [N, I, D] -> [N, D]
        total += summed.double()
        count += (norm.isfinite() & views.dealt(role)).sum(1)
    return (total / count.clamp_min(1)[:, None]).float()


def centred(views: Views, role: Role, means: Tensor) -> Centred:
    """Centre one role's answers by `means` [N, D]."""
    rows = views.answers(role)
    factor, norm = directions(rows)
    rows = torch.addcmul(-means[:, None, :], finite(rows, norm), factor[:, :, None])
    centred_norm = torch.linalg.vector_norm(rows, dim=2)
    # No direction before centring, none after: hat(0) less the mean is not an answer.
    scale = torch.where((factor > 0) & (centred_norm > _NORM_MIN), 1 / centred_norm.clamp_min(_NORM_MIN), 0.0)
    return Centred(rows.mul_(scale[:, :, None]), norm, centred_norm)
