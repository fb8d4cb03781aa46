"""The sequential test of bent answers: one integer an encoder, carried from round to round.

Page's cumulative sum of log-likelihood ratios: some 8 % of an honest encoder's probes may count as bent, a
quarter of a fabricator's do. Integers only, computed from certified bytes, so that all nodes hold the same.
"""

from __future__ import annotations

import math
from typing import Final

HONEST_SHARE_MAX: Final = 0.08
"""Of its probes, an honest encoder has at most this share counted as bent."""
FABRICATED_SHARE: Final = 0.25
"""The share that the test is quickest at."""
BENT_MILLINATS: Final = 1_138
"""What a bent probe adds: 1,000 ln(FABRICATED_SHARE / HONEST_SHARE_MAX), rounded down."""
STRAIGHT_MILLINATS: Final = 204
"""What any other takes away: 1,000 ln((1 - HONEST_SHARE_MAX) / (1 - FABRICATED_SHARE))."""
EXPOSED_MILLINATS: Final = 16_119
"""1,000 ln(10,000,000), rounded up: reached by an honest encoder at no more than one of so many probes."""

_MILLI: Final = 1_000


class BendingError(ValueError):
    """Probe terms that no scoring makes."""


def advanced(bending: int, probes: float, bent: float) -> int:
    """The statistic after a certified round; 0 before any, never negative, so that no credit is saved up.

    `probes` and `bent` are the report's terms of that name. A fraction of a bent probe counts as that
    fraction: as exp is convex, the false accusation rate is at most that of whole ones. Raises BendingError
    for terms that are not finite or for more bent probes than probes.
    """
    if not (math.isfinite(probes) and math.isfinite(bent) and 0 <= bent <= probes and bending >= 0):
        raise BendingError(
            f"{bent} bent of {probes} probes after {bending}: take the terms of a certified report"
        )
    bent_milli, probes_milli = int(bent * _MILLI), round(probes) * _MILLI
    step = bent_milli * BENT_MILLINATS - (probes_milli - bent_milli) * STRAIGHT_MILLINATS
    return max(0, bending + step // _MILLI)


def is_exposed(bending: int) -> bool:
    """Whether the encoder answers fragments with what it could not honestly know."""
    return bending >= EXPOSED_MILLINATS
