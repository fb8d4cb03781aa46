"""Centring: x <- hat(hat(x) - mean of that encoder's own vectors)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from scoring import compiled
from scoring.compiled import first_look as first
from scoring.compiled import rows as kernels
from scoring.compiled.rows import Floats, Indices
from scoring.differential import literal_losses
from scoring.memory import Strided, chunk_encoders, reserved, shaped, strided
from scoring.views import Role, Views

_NORM_MIN = 1e-12
_KEPT_BYTES = 32 << 20
"""Squared distances that are measured beside centring and kept: those of as many roles as fit."""


class Look(NamedTuple):
    """What can be said of all answers before they are centred."""

    norms: Tensor
    """[R, N, I] as they came; NaN or Inf where an answer is withheld or overflows."""
    factors: Tensor
    """[R, N, I] that give unit norm; 0 where the answer is not finite or has no direction."""
    means: Tensor
    """[N, D] float32: mean of each encoder's own unit answers over the whole shard."""
    literal_losses: Tensor
    """[N, I] float64, as by `literal_losses`."""


class Centre(NamedTuple):
    """What it takes to centre the answers of all roles."""

    means: Tensor
    """[N, D]."""
    factors: Tensor
    """[R, N, I] that give unit norm; 0 where the answer is not finite or has no direction."""
    scales: Tensor
    """[R, N, I] that give the centred answer unit norm; 0 where it has no direction."""
    sources: tuple[Strided, ...]
    """The full views, masks and inverses as they lie, for compiled kernels; none elsewhere."""

    def gather(self, roles: Indices, items: Indices, encoders: Indices, out: Floats) -> None:
        """On the CPU, write centred rows to out [r, b, n, D], at unit norm; zeros without a direction.

        Roles are numbered as in `Views.roles`.
        """
        arrays = (self.means.numpy(), self.factors.numpy(), self.scales.numpy(), out)
        full, mask, inverse = self.sources
        kernels.gather(full, mask, inverse, roles, encoders, items, *arrays)


@dataclass
class Answers:
    """One role's answers, with what it takes to centre them: centred rows are made when they are needed."""

    dealt: Tensor
    """[I] bool: the items that have this role."""
    norm: Tensor
    """[N, I] norm of the answer as it came; NaN or Inf where it is withheld or overflows."""
    centred_norm: Tensor
    """[N, I] norm of the unit answer less the mean; of no meaning where the answer is not finite."""
    raw: Tensor
    """[N, I, D] answers as they came."""
    place: int
    """Which role this is."""
    centre: Centre
    kept_distances: Floats | None = None
    """[I, N, N] of `squared_distances`, by the compiled kernels, if they are few."""

    def rows(self, items: Tensor, encoders: Tensor) -> Tensor:
        """Centred rows of these items and encoders, [b, n, D] at unit norm; zeros without a direction."""
        if compiled.serves(self.raw):
            out = torch.empty(1, len(items), len(encoders), self.raw.shape[2])
            self.centre.gather(np.array([self.place]), items.numpy(), encoders.numpy(), out.numpy())
            return out[0]
        return rows_of_roles([self], items, encoders)[0]

    def mix(self, shares: Tensor, out: Tensor) -> None:
        """On the CPU, write the sum of each item's rows times shares [N, I] of 1 to out [I, D]."""
        centre = self.centre
        factors, scales = (x[self.place].numpy() for x in (centre.factors, centre.scales))
        arrays = shares.contiguous().numpy(), centre.means.numpy(), factors, scales, out.numpy()
        kernels.mixed(strided(self.raw[:, :, None]), *arrays)

    def every_row(self) -> Tensor:
        """All centred rows [N, I, D] at unit norm: a copy as large as the answers."""
        encoders, items = (torch.arange(size, device=self.raw.device) for size in self.raw.shape[:2])
        return self.rows(items, encoders).transpose(0, 1)

    def uncentred(self) -> Answers:
        """The same answers around zero: only their length is taken out."""
        one = torch.where(self.centre.factors > 0, 1.0, 0.0)
        around_zero = self.centre._replace(means=torch.zeros_like(self.centre.means), scales=one)
        return replace(self, centred_norm=one[self.place], centre=around_zero, kept_distances=None)


def rows_of_roles(roles: Sequence[Answers], items: Tensor, encoders: Tensor) -> Tensor:
    """`Answers.rows` of several roles by torch. -> [R, b, n, D]."""
    centre = roles[0].centre
    at = encoders[None, :], items[:, None]
    rows = torch.stack([answers.raw[at] for answers in roles])
    factors = torch.stack([centre.factors[answers.place] for answers in roles])[:, *at][..., None]
    scales = torch.stack([centre.scales[answers.place] for answers in roles])[:, *at][..., None]
    rows.mul_(factors).sub_(centre.means[encoders]).mul_(scales)
    return rows.masked_fill_((factors <= 0) | (scales <= 0), 0.0)  # also what is not finite


def _norms(views: Views, roles: Sequence[Role]) -> Tensor:
    """Norms of the answers in each role, [R, N, I]."""
    return torch.stack([torch.linalg.vector_norm(views.answers(role), dim=2) for role in roles])


def _unit_factors(norms: Tensor) -> Tensor:
    """What gives unit norm; 0 where the answer is not finite or has no direction."""
    known = norms.isfinite() & (norms > _NORM_MIN)
    return torch.where(known, 1 / norms.clamp_min(_NORM_MIN), 0.0)


def looked_over(views: Views) -> Look:
    """Norms, means and literal losses, in one pass on the CPU.

    A mean is over every finite answer, valid or not: validity is decided after centring, and a mean that
    followed it would make an attester who recomputes with the dealer's mask centre differently.
    """
    encoders, items, dimension = views.full.shape
    roles, device = list(views.roles()), views.full.device
    dealt = torch.stack([views.dealt(role) for role in roles])  # [R, I]
    total = torch.zeros(encoders, dimension, dtype=torch.float64, device=device)
    if compiled.serves(views.full):
        norms, factors = (torch.empty(len(roles), encoders, items) for _ in range(2))
        losses = torch.empty(encoders, items, dtype=torch.float64)
        arrays = (x.numpy() for x in (dealt, norms, factors, total, losses))
        first.first_look(*_sources(views), _NORM_MIN, *arrays)
    else:
        norms = _norms(views, roles)
        factors, finite = _unit_factors(norms), norms.isfinite()[..., None]
        losses = literal_losses(views.full, views.mask, views.inverse)
        for place, role in enumerate(roles):
            for some in chunk_encoders(views.full):
                known = torch.where(finite[place, some], views.answers(role)[some], 0.0)
                # [n, 1, I] @ [n, I, D] -> [n, 1, D]
                total[some] += torch.bmm((factors[place, some] * dealt[place])[:, None], known)[:, 0]
    count = (norms.isfinite() & dealt[:, None]).sum((0, 2))  # [N]
    return Look(norms, factors, (total / count.clamp_min(1)[:, None]).float(), losses)


def shard_means(views: Views) -> Tensor:
    """Mean of each encoder's own unit answers over the whole shard. -> [N, D] float32."""
    return looked_over(views).means


def centred(views: Views, means: Tensor, look: Look | None = None) -> dict[Role, Answers]:
    """Measure the answers of every role around `means` [N, D].

    look: what `looked_over` said of them, if they are going to be compared: then the compiled kernels measure
    their distances in the same pass.
    """
    roles, compared = list(views.roles()), look is not None
    norms, factors, *_ = looked_over(views) if look is None else look
    rests = torch.empty_like(norms)
    sources: tuple[Strided, ...] = ()
    kept: list[Floats] = []
    if compiled.serves(rests):
        sources, scales = _sources(views), torch.empty_like(norms)
        kept = _centre(sources, means, factors, rests, scales, compared)
    else:
        for place, role in enumerate(roles):
            for some in chunk_encoders(views.full):
                off = views.answers(role)[some] * factors[place, some, :, None]
                rests[place, some] = torch.linalg.vector_norm(off.sub_(means[some, None]), dim=2)
        # No direction before centring, none after: hat(0) less the mean is not an answer.
        scales = torch.where((factors > 0) & (rests > _NORM_MIN), 1 / rests.clamp_min(_NORM_MIN), 0.0)
    centre = Centre(means, factors, scales, sources)
    distances = [*kept, *[None] * (len(roles) - len(kept))]
    return {
        role: Answers(
            views.dealt(role),
            norms[place],
            rests[place],
            views.answers(role),
            place,
            centre,
            distances[place],
        )
        for place, role in enumerate(roles)
    }


def _centre(
    sources: tuple[Strided, ...],
    means: Tensor,
    factors: Tensor,
    rests: Tensor,
    scales: Tensor,
    compared: bool,
) -> list[Floats]:
    """By compiled kernels, fill rests and scales [R, N, I]. -> squared distances [I, N, N] of some roles."""
    roles, count, items = factors.shape
    few = min(roles, _KEPT_BYTES // (4 * items * count * count)) if compared else 0
    squared = shaped(reserved(few * items * count * count), few, items, count, count)
    rows = shaped(reserved(means.numel()), *means.shape)
    arrays = *(x.numpy() for x in (means, factors, rests, scales)), squared, rows
    full, mask, inverse = sources
    kernels.centre(full, mask, inverse, _NORM_MIN, *arrays)
    return list(squared)


def _sources(views: Views) -> tuple[Strided, Strided, Strided]:
    return strided(views.full[:, :, None]), strided(views.mask), strided(views.inverse)
