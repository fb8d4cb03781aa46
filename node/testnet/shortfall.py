"""Why a run of a local network fell short, in a sentence for whoever started it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from node.store import RoundState
from node.testnet.watch import RoundView

BUSY_PER_CORE: Final = 2.0
"""Load a core above which waves of a local network end before its encoders have answered."""


def shortfall(
    past: Sequence[RoundView], root: Path, missing: int = 0, load: float | None = None, cores: int = 0
) -> str:
    """How many of the rounds dealt were certified, why the others were not, and what to try.

    `missing` rounds were asked for and not reached. `load` and `cores` are the machine's own unless given.
    """
    load = os.getloadavg()[0] if load is None else load
    cores = cores or os.cpu_count() or 1
    certified = sum(view.state is RoundState.CERTIFIED for view in past)
    several = "" if len(past) == 1 else "s"
    told = f"{certified} of {len(past)} round{several} dealt {'was' if certified == 1 else 'were'} certified"
    if reasons := Counter(view.reason for view in past if view.reason):
        told += f" (void: {reasons.most_common(1)[0][0]})"
    if missing:
        told += f", and {missing} more were asked for"
    if load > BUSY_PER_CORE * cores:
        told += (
            f". The load is {load:.0f} on {cores} cores, so answers come too late: "
            "try again when the machine is quiet, or with fewer --encoders"
        )
    return f"{told}. The nodes' logs are in {root}: deltamesh logs --home {root}/validator-1"
