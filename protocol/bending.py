"""The sequential test of bent answers: two integers an encoder, carried from round to round.

Page's cumulative sums of log-likelihood ratios. An honest encoder's probes count as bent, or as leaning, up
to a known share; a fabricator's more often. Bent finds those who forge some of their answers far, leaning
those who shift all of them a little. Integers only, made of certified bytes: every node holds the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from protocol.codec import Natural, Record

EXPOSED_MILLINATS: Final = 16_812
"""1,000 ln(20,000,000), rounded up: either sum of an honest encoder crosses it at no more than one of so many
probes, so that both together accuse it falsely at no more than one of ten million."""

MILLI: Final = 1_000


@dataclass(frozen=True, slots=True)
class Sign:
    """One way in which an answer to a probe speaks against its encoder."""

    honest_share_max: float
    """Of its probes, an honest encoder has at most this share with the sign."""
    fabricated_share: float
    """The share that the test is quickest at."""
    with_millinats: int
    """What a probe with the sign adds: 1,000 ln(fabricated / honest), rounded down."""
    without_millinats: int
    """What a probe without it takes away: 1,000 ln((1 - honest) / (1 - fabricated)), rounded up."""


BENT: Final = Sign(0.08, 0.25, 1_139, 205)
"""Far above the shard."""
LEANING: Final = Sign(0.22, 0.42, 646, 297)
"""Above the shard."""


class Bending(Record, frozen=True):
    """Both sums of one encoder, in millinats; never negative, so that nobody saves up credit."""

    bent: Natural = 0
    leaning: Natural = 0


class ProbeSigns(Record, frozen=True):
    """What one certified round says of an encoder's probes; never more signs than probes."""

    probes: Natural
    bent_milli: Natural
    """1,000 times the number with the sign, rounded down."""
    leaning_milli: Natural


class BendingError(ValueError):
    """Probe terms that no scoring makes."""


def advanced(bending: Bending, probes: float, bent: float, leaning: float) -> Bending:
    """The sums after a certified round with these terms of its report; begin with Bending().

    A fraction of a probe with a sign counts as that fraction: as exp is convex, the false accusation rate is
    at most that of whole ones. Raises BendingError for terms that are not finite or over the probes.
    """
    if not all(math.isfinite(term) and 0 <= term <= probes for term in (probes, bent, leaning)):
        raise BendingError(
            f"{bent} bent and {leaning} leaning of {probes} probes: take the terms of a certified report"
        )
    return stepped(bending, ProbeSigns(int(probes), int(bent * MILLI), int(leaning * MILLI)))


def stepped(bending: Bending, signs: ProbeSigns) -> Bending:
    """The same in integers, as the records of epochs compute it."""
    return Bending(
        _stepped(bending.bent, signs.probes, signs.bent_milli, BENT),
        _stepped(bending.leaning, signs.probes, signs.leaning_milli, LEANING),
    )


def is_exposed(bending: Bending) -> bool:
    """Whether the encoder answers fragments with what it could not honestly know."""
    return max(bending.bent, bending.leaning) >= EXPOSED_MILLINATS


def _stepped(millinats: int, probes: int, with_milli: int, sign: Sign) -> int:
    without_milli = probes * MILLI - with_milli
    step = with_milli * sign.with_millinats - without_milli * sign.without_millinats
    return max(0, millinats + step // MILLI)
