"""How long an encoder has no weight: a newcomer until it was judged a few times, whom probes exposed longer.

Exposure takes up to some sixteen rounds. A probation that is over before a forger can be exposed again would
let it earn in between, so each exposure makes the next probation four times as long.
"""

from __future__ import annotations

from protocol.genesis import NetworkParameters

FACTOR = 4
EXPOSURES_MAX = 6
"""More count as so many: by then a new key is cheaper than sitting it out."""


def shards_needed(parameters: NetworkParameters, exposures: int) -> int:
    """Certified shard-rounds an encoder is judged in before it has weight, after so many exposures."""
    return int(parameters.probation_shards * FACTOR ** min(exposures, EXPOSURES_MAX))
