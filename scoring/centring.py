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
            flat, steps = self._source
            gather(flat, steps, encoders.numpy(), items.numpy(), *self._centre, out.numpy())
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
    roles = list(views.roles())
    dealt = torch.stack([views.dealt(role) for role in roles])  # [R, I]
    total = torch.zeros(encoders, dimension, dtype=torch.float64, device=views.full.device)
    norms = torch.empty(len(roles), encoders, items, device=views.full.device)
    if compiled.serves(norms):
        unit_sums(*_sources(views), _NORM_MIN, dealt.numpy(), norms.numpy(), total.numpy())
    else:
        for role, here, norm in zip(roles, dealt, norms, strict=True):
            factor, norm[:] = directions(views.answers(role))
            known = torch.where(norm.isfinite()[:, :, None], views.answers(role), 0.0)
            # [N, 1, I] @ [N, I, D] -> [N, D]
            total += torch.bmm((factor * here)[:, None, :], known)[:, 0].double()
    count = (norms.isfinite() & dealt[:, None]).sum((0, 2))  # [N]
    return (total / count.clamp_min(1)[:, None]).float()


def centred(views: Views, means: Tensor) -> dict[Role, Answers]:
    """Measure the answers of every role around `means` [N, D]."""
    roles = list(views.roles())
    norms, factors, rests = (
        torch.empty(len(roles), *views.full.shape[:2], device=views.full.device) for _ in range(3)
    )
    if compiled.serves(norms):
        arrays = (means.numpy(), norms.numpy(), factors.numpy(), rests.numpy())
        centred_norms(*_sources(views), _NORM_MIN, *arrays)
    else:
        for place, role in enumerate(roles):
            raw = views.answers(role)
            factors[place], norms[place] = directions(raw)
            known = torch.where(norms[place].isfinite()[:, :, None], raw, 0.0)
            off = torch.addcmul(-means[:, None, :], known, factors[place][:, :, None])
            rests[place] = torch.linalg.vector_norm(off, dim=2)
    # No direction before centring, none after: hat(0) less the mean is not an answer.
    scales = torch.where((factors > 0) & (rests > _NORM_MIN), 1 / rests.clamp_min(_NORM_MIN), 0.0)
    measured = zip(roles, norms, rests, factors, scales, strict=True)
    return {
        role: Answers(views.dealt(role), norm, rest, views.answers(role), means, factor, scale)
        for role, norm, rest, factor, scale in measured
    }


def _sources(views: Views) -> tuple[Strided, Strided, Strided]:
    return strided(views.full), strided(views.mask), strided(views.inverse)
