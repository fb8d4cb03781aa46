"""Centring: x <- hat(hat(x) - mean of that encoder's own vectors)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from scoring import compiled
from scoring.compiled.rows import Floats, centred_norms, gather, unit_sums
from scoring.memory import Strided, strided
from scoring.views import Role, Views

_NORM_MIN = 1e-12


@dataclass(frozen=True)
class Answers:
    """One role's answers, with what it takes to centre them: centred rows are made when they are needed."""

    dealt: Tensor
    """[I] bool: the items that have this role."""
    norm: Tensor
    """[N, I] norm of the answer as it came; NaN or Inf where it is withheld or overflows."""
    centred_norm: Tensor
    """[N, I] norm of the unit answer less the mean."""
    raw: Tensor
    """[N, I, D] answers as they came."""
    means: Tensor
    """[N, D]."""
    factor: Tensor
    """[N, I] that gives unit norm; 0 where the answer is not finite or has no direction."""

    scale: Tensor
    """[N, I] that gives the centred answer unit norm; 0 where it has no direction."""

    def rows(self, items: Tensor, encoders: Tensor) -> Tensor:
        """Centred rows of these items and encoders, [b, n, D] at unit norm; zeros without a direction."""
        if compiled.serves(self.raw):
            out = torch.empty(len(items), len(encoders), self.raw.shape[2])
            gather(*self._source, encoders.numpy(), items.numpy(), *self._centre, out.numpy())
            return out
        at = (encoders[None, :], items[:, None])
        raw, factor, scale = self.raw[at], self.factor[at][..., None], self.scale[at][..., None]
        known = (factor > 0) & (scale > 0)
        return torch.where(known, (raw * factor - self.means[encoders]) * scale, 0.0)

    @cached_property
    def _source(self) -> Strided:
        return strided(self.raw)

    @cached_property
    def _centre(self) -> tuple[Floats, Floats, Floats]:
        return self.means.numpy(), self.factor.numpy(), self.scale.numpy()

    def uncentred(self) -> Answers:
        """The same answers around zero: only their length is taken out."""
        one = torch.where(self.factor > 0, 1.0, 0.0)
        return replace(self, means=torch.zeros_like(self.means), centred_norm=one, scale=one)


def directions(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Answers [N, I, D] -> (factors [N, I] that give them unit norm, norms [N, I]).

    A factor is 0 where the answer is not finite or has no direction.
    """
    norm = torch.linalg.vector_norm(rows, dim=2)
    known = norm.isfinite() & (norm > _NORM_MIN)
    return torch.where(known, 1 / norm.clamp_min(_NORM_MIN), 0.0), norm


def shard_means(views: Views) -> Tensor:
    """Mean of each encoder's own unit answers over the whole shard. -> [N, D] float32.

    Over every finite answer, valid or not: validity is decided after centring, and a mean that followed it
    would make an attester who recomputes with the dealer's mask centre differently.
    """
    encoders, items, dimension = views.full.shape
    total = torch.zeros(encoders, dimension, dtype=torch.float64, device=views.full.device)
    count = torch.zeros(encoders, dtype=torch.float64, device=views.full.device)
    for role in views.roles():
        rows, dealt = views.answers(role), views.dealt(role)
        if compiled.serves(rows):
            norm, flat = torch.empty(encoders, items), strided(rows)
            unit_sums(flat.numbers, flat.steps, _NORM_MIN, dealt.numpy(), norm.numpy(), total.numpy())
        else:
            factor, norm = directions(rows)
            known = torch.where(norm.isfinite()[:, :, None], rows, 0.0)
            # [N, 1, I] @ [N, I, D] -> [N, D]
            total += torch.bmm((factor * dealt)[:, None, :], known)[:, 0].double()
        count += (norm.isfinite() & dealt).sum(1)
    return (total / count.clamp_min(1)[:, None]).float()


def centred(views: Views, role: Role, means: Tensor) -> Answers:
    """Measure one role's answers around `means` [N, D]."""
    raw, dealt = views.answers(role), views.dealt(role)
    if compiled.serves(raw):
        norm, factor, rest = (torch.empty(raw.shape[:2]) for _ in range(3))
        flat = strided(raw)
        centred_norms(
            flat.numbers, flat.steps, _NORM_MIN, means.numpy(), norm.numpy(), factor.numpy(), rest.numpy()
        )
    else:
        factor, norm = directions(raw)
        known = torch.where(norm.isfinite()[:, :, None], raw, 0.0)
        rest = torch.linalg.vector_norm(torch.addcmul(-means[:, None, :], known, factor[:, :, None]), dim=2)
    # No direction before centring, none after: hat(0) less the mean is not an answer.
    scale = torch.where((factor > 0) & (rest > _NORM_MIN), 1 / rest.clamp_min(_NORM_MIN), 0.0)
    return Answers(dealt, norm, rest, raw, means, factor, scale)
