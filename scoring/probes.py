"""Probes: how far the committed answers to fragments are bent towards full views that nobody knew yet.

A fragment comes back later, less a few words, and is answered again. Between two honest answers lies what the
missing words say; between a bent one and an honest one lies the full view. Figures: docs/waves.md.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import Tensor

from scoring.projection import dot, unit
from scoring.rule import Ramp

DISTANCE_MIN: Final = 0.05
"""Answers nearer than this are not told apart: a direction between them would be rounding."""
SPREAD_QUANTILE: Final = 0.16
"""Below the median lies one standard deviation of a normal distribution. Bent answers lie above it."""
SPREAD_MIN: Final = 0.15
SPREAD_MAX: Final = 0.17
"""Bounds of the spread, of artanh pull. The lower one is for shards of models so alike that an honest one of
another kind would stand out; the upper one, so that those who bend cannot widen what counts as honest."""
FORWARD_CENTRE_MIN: Final = 0.25
BACKWARD_CENTRE_MIN: Final = 0.0
"""Least values of the medians of artanh pull, about what the honest have: who answers a probe with the very
answer to its fragment pulls nothing, and many of them must not make the rest look bent."""
_PULL_MAX: Final = 0.99
"""artanh is cut off here."""
BENT: Final = Ramp(2.5, 3.5)
LEANING: Final = Ramp(1.0, 2.0)
"""In spreads over the shard's median: where an answer begins to count, and where it counts wholly. Ramps, for
attesters whose sums differ in the last digit must not count one more."""
_ENCODERS_MIN: Final = 3


class ProbeTerms(NamedTuple):
    """Of the N encoders, float64 [N]."""

    probes: Tensor
    """Probes that counted for the encoder."""
    bent: Tensor
    """How many of them show its fragment bent towards the full view; fractions within the ramp."""
    leaning: Tensor
    """How many show it leaning that way, a weaker sign."""
    pull: Tensor
    """Mean over them of what `pull` says; 0 without any."""


def probe_terms(committed: Tensor, answer: Tensor, full: Tensor, counted: Tensor) -> ProbeTerms:
    """Compare answers with their shard's median, probe by probe.

    committed, answer, full [N, P, D]: answers to the fragment, to the probe and to the full view of its item;
    counted [N, P] bool: the encoder is live and its item valid. An answer to a probe that is zero or not
    finite counts with every sign: nobody is to choose which probes to answer. Among fewer than three nobody
    has one.
    """
    answered = torch.isfinite(answer).all(-1) & (torch.linalg.vector_norm(answer.float(), dim=-1) > 0)
    known = counted & answered
    pulls = torch.where(known, pull(committed, answer, full), 0.0)  # [N, P]
    # Who takes the probe for a full view and makes it up from the parts bends the other one of the two.
    mirrored = torch.where(known, pull(answer, committed, full), 0.0)
    forward = _excess(pulls, known, FORWARD_CENTRE_MIN)
    backward = _excess(mirrored, known, BACKWARD_CENTRE_MIN)
    bent = _total(torch.maximum(BENT(forward), BENT(backward)), known, counted)
    leaning = _total(LEANING(forward), known, counted)
    means = pulls.sum(1) / known.sum(1).clamp_min(1)
    return ProbeTerms(counted.sum(1).double(), bent, leaning, means)


def pull(committed: Tensor, answer: Tensor, full: Tensor) -> Tensor:
    """cos(committed - answer, full without its part along the answer), rows at unit norm. [..., D] -> [...].

    float64. Differences shorter than DISTANCE_MIN count in proportion, so that rounding is never a direction.
    """
    ours, later, whole = (unit(rows.float()) for rows in (committed, answer, full))
    moved = ours - later
    rest = whole - dot(whole, later)[..., None] * later
    lengths = [torch.linalg.vector_norm(rows, dim=-1).clamp_min(DISTANCE_MIN) for rows in (moved, rest)]
    cosines: Tensor = dot(moved, rest) / (lengths[0] * lengths[1])
    return cosines.double()


def _excess(pulls: Tensor, known: Tensor, centre_min: float) -> Tensor:
    """How far each pull lies above the shard's median of its probe, in spreads. [N, P] -> [N, P]."""
    # Fisher's transformation: cosines near 1 lie as far apart as those near 0.
    stretched = pulls.clamp(-_PULL_MAX, _PULL_MAX).atanh()
    above = stretched - _medians(stretched, known).clamp_min(centre_min)
    return above / _spread(above[known])


def _total(signs: Tensor, known: Tensor, counted: Tensor) -> Tensor:
    """Sum over an encoder's probes; 1 for what it left unanswered. [N, P] -> [N]."""
    enough = known.sum(0) >= _ENCODERS_MIN  # [P]
    return (torch.where(known, signs * enough, 1.0) * counted).sum(1)


def _medians(values: Tensor, known: Tensor) -> Tensor:
    """Median of each probe over the encoders known, the mean of two if even; 0 without any. -> [P]."""
    if not values.numel():
        return values.new_zeros(values.shape[1])
    middle: Tensor = torch.where(known, values, torch.nan).nanquantile(0.5, dim=0)
    return middle.nan_to_num(0.0)


def _spread(above: Tensor) -> float:
    """One standard deviation, taken below the medians, of all answers to all probes. [M] -> a number.

    A quantile and not a count of what is negative, so that rounding moves it by as little.
    """
    if not len(above):
        return SPREAD_MAX
    return min(max(-above.quantile(SPREAD_QUANTILE).item(), SPREAD_MIN), SPREAD_MAX)
