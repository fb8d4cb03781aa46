"""The runs of all cases as rows and as lines of a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.bench.waves import Order
from node.sim.waves.dealer import Probes
from node.sim.waves.run import NEVER, Case, Run

ATTACKS: Final = ("forged-inverse", "forged-full", "leak-20")


def all_cases() -> list[Case]:
    """Honesty for comparison, then each forgery without and with the waves, without and with the probes."""
    forging = [
        Case(attack, order, probes)
        for attack in ATTACKS
        for order in (Order.AT_ONCE, Order.WAVES)
        for probes in (Probes.IGNORED, Probes.COUNTED)
    ]
    return [Case("honest", Order.WAVES, Probes.COUNTED), *forging]


@dataclass(frozen=True)
class Row:
    """One case over all seeds: weights and scores are the worst of the means over rounds."""

    case: Case
    weight: float
    """Of all forgers together, over all certified rounds."""
    weight_last: float
    """Over those of the last epoch."""
    honest_score: float
    exposed_after: float | None
    """Median of certified rounds until a forger is exposed; None if half of them never are."""
    exposed_share: float
    """Of the forgers."""
    out_from: int | None
    """First round in which some forger has no weight, in any seed."""
    honest_exposed: int
    """Honest encoders exposed, of all seeds together."""
    certified: int
    """Rounds, of all seeds together."""

    def document(self) -> dict[str, object]:
        """For JSON."""
        case = self.case
        figures = {name: value for name, value in vars(self).items() if name != "case"}
        return {"attack": case.attack, "order": case.order.value, "probes": case.probes.value} | figures


def rows_of(runs: Mapping[Case, Sequence[Run]], epoch_rounds: int) -> list[Row]:
    """One row for each case."""
    return [_row(case, found, epoch_rounds) for case, found in runs.items()]


def _row(case: Case, found: Sequence[Run], epoch_rounds: int) -> Row:
    after = np.concatenate([one.exposed_after for one in found])
    middle = float(np.median(after))
    out = [int(round_) for one in found for round_ in np.flatnonzero(one.out > 0)[:1]]
    return Row(
        case,
        max(float(np.nanmean(one.weight)) for one in found),
        max(float(np.nanmean(one.weight[-epoch_rounds:])) for one in found),
        min(float(np.nanmean(one.honest_score)) for one in found),
        middle if middle < NEVER / 2 else None,
        float((after != NEVER).mean()),
        min(out, default=None),
        sum(one.honest_exposed for one in found),
        sum(int(np.isfinite(one.weight).sum()) for one in found),
    )


def panels_of(runs: Mapping[Case, Sequence[Run]]) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Weight by round of each forgery, the worst of all seeds."""
    panels: dict[str, dict[str, NDArray[np.float64]]] = {}
    for case, found in runs.items():
        if case.attack != "honest":
            panels.setdefault(case.attack, {})[case.conditions] = np.fmax.reduce(
                [one.weight for one in found]
            )
    return panels
