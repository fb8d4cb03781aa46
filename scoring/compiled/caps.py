"""The cap on weights, round by round: a few hundred small products, each of which would be calls to torch."""

from __future__ import annotations

import numpy as np

from scoring.compiled import compiled
from scoring.compiled.rows import Doubles


@compiled
def cap_shares(share: Doubles, alike: Doubles, cap: float, rounds: int, slack: float) -> None:
    """Shrink every neighbourhood of share [N] above the cap as one, in place, until none is.

    alike [N, N], symmetric. What is cut flows to all others in proportion; after `rounds` the last shares
    stand.
    """
    count = len(share)
    given_up = np.empty(count)  # how much of its share each must leave
    for _ in range(rounds):
        given_up[:] = 0
        above = False
        for n in range(count):
            row, together = alike[n], 0.0
            for m in range(count):
                together += row[m] * share[m]
            if together > cap and share[n] > 0:
                excess = 1 - cap / together
                above = above or excess > slack
                for m in range(count):  # a member leaves as much as it is one with the worst offender
                    own = row[m] * excess
                    given_up[m] = own if own > given_up[m] else given_up[m]
        if not above:
            return
        total = 0.0
        for n in range(count):
            share[n] *= 1 - given_up[n]
            total += share[n]
        for n in range(count):
            share[n] /= total
