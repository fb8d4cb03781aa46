"""The demonstration of the waves and the probes: what forgers win with and without them, on real encoders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from node.bench.measure import Baseline, Figures, baseline, measure
from node.bench.probed import BATCH_ITEMS, NEVER, Probed, Trial, embed_probes, linked, rounds_of, tried
from node.bench.scene import Answers, joined
from node.bench.shards import PAST_ITEMS, Setting, Shard, embedded_for, shard_of
from node.bench.texts import Split
from node.bench.waves import FORGERIES, Forgery, Order
from scoring import HARDENED


class Probing(Enum):
    """How a forger answers the probes."""

    ENCODED = "encoded"
    """Honestly: it takes them for further views."""
    LINKED = "linking"
    """Knows each for what it is, and bends its answer as that of its fragment."""
    LAZY = "lazy"
    """Encodes nothing of wave 3: what holds words of an item is answered as the item's full view."""


@dataclass(frozen=True)
class Case:
    """One forgery."""

    attack: str
    order: Order
    probing: Probing = Probing.ENCODED

    @property
    def name(self) -> str:
        """`leak-20, linking`."""
        return self.attack if self.probing is Probing.ENCODED else f"{self.attack}, {self.probing.value}"

    @property
    def forgery(self) -> Forgery:
        """How it is done."""
        return FORGERIES[self.attack][self.order]


@dataclass(frozen=True)
class Outcome:
    """Of one forgery on one seed's shard."""

    unprobed: Figures
    """Nobody is ever expelled: every round is like the first."""
    exposed_after: NDArray[np.int64]
    """[A] rounds, of the attackers."""
    honest_exposed: int
    weight_by_round: NDArray[np.float64]
    """[R]: what the attackers hold who were not exposed before that round."""
    moved_by_round: NDArray[np.float64]
    """[R]: how far they displace the shaped consensus."""


def cases() -> list[Case]:
    """Every forgery in every order it has, and some with other answers to the probes."""
    found = [Case(attack, order) for attack, by_order in FORGERIES.items() for order in by_order]
    linked_ones = [Case(attack, Order.AT_ONCE, Probing.LINKED) for attack in ("forged-inverse", "leak-20")]
    return [*found, *linked_ones, Case("forged-full", Order.WAVES, Probing.LAZY)]


def outcomes(
    setting: Setting, split: Split, seed: int, cache_dir: Path, *, items: int = BATCH_ITEMS
) -> Iterator[tuple[Case, Outcome]]:
    """Each forgery on the shard of one seed."""
    bench = _Seed(setting, split, seed, cache_dir, items)
    for case in cases():
        yield case, bench.outcome(case)


class _Seed:
    """One seed's shard, its probes, and what the honest make of it alone."""

    def __init__(self, setting: Setting, split: Split, seed: int, cache_dir: Path, items: int) -> None:
        embedded = embedded_for([setting], split, items, seed, cache_dir)
        probed = embed_probes(split, setting.encoders, items, items + PAST_ITEMS, seed, cache_dir)
        self._setup(shard_of(setting, embedded, seed), probed, embedded.encoders(setting.encoders).full, seed)

    def _setup(self, shard: Shard, probed: Probed, full: NDArray[np.float32], seed: int) -> None:
        """The shard's encoders are in another order than the setting's: each is found by its answers."""
        self._shard, self._seed = shard, seed
        first = shard.answers.full[:, 0]
        rows = [int(np.flatnonzero((full[:, 0] == one).all(1))[0]) for one in first]
        probed = probed.encoders(rows)
        self._attackers, self._honest = probed.encoders(shard.attackers), probed.encoders(shard.honest)

    @cached_property
    def _alone(self) -> Baseline:
        return baseline(self._shard, HARDENED)

    def outcome(self, case: Case) -> Outcome:
        """One forgery, before the rule and before the test."""
        scene = self._shard.scene(self._seed)
        given = case.forgery(scene, self._shard.past.numpy()[self._shard.attackers])
        answered = self._attackers
        if case.probing is Probing.LINKED:
            answered = linked(answered, scene.own, given)
        elif case.probing is Probing.LAZY:
            answered = replace(answered, answers=given.full)
        trial = self._tried(given, answered)
        count = len(given)
        after = trial.exposed_after[:count]
        rounds = range(1, 1 + rounds_of(given.full.shape[1]))
        figures = self._figures(given, [after >= round_ for round_ in rounds])
        first = figures[0]
        assert first is not None, "nobody is exposed before the first round"
        return Outcome(
            first,
            after,
            int((trial.exposed_after[count:] != NEVER).sum()),
            np.array([one.weight_captured if one else 0.0 for one in figures]),
            np.array([one.displacement_shaped if one else 0.0 for one in figures]),
        )

    def _tried(self, given: Answers, answered: Probed) -> Trial:
        honest = self._shard.answers.encoders(self._shard.honest)
        rows = np.concatenate([answered.answers, self._honest.answers])
        return tried(joined([given, honest]), Probed(rows, answered.of_inverse), self._seed)

    def _figures(self, given: Answers, left: Sequence[NDArray[np.bool_]]) -> list[Figures | None]:
        """What the attackers who are left achieve in each round; None where none is."""
        known: dict[bytes, Figures | None] = {}
        for some in left:
            if some.tobytes() not in known:
                rows = np.flatnonzero(some)
                known[some.tobytes()] = (
                    measure(self._shard, given.encoders(rows), HARDENED, self._alone) if len(rows) else None
                )
        return [known[some.tobytes()] for some in left]


@dataclass(frozen=True)
class Row:
    """One forgery over all seeds: figures are the worst, rounds the median."""

    case: Case
    weight: float
    moved: float
    """The shaped consensus."""
    honest_score: float
    exposed_after: float | None
    """Rounds until half of the attackers are exposed; None if they never are."""
    exposed_share: float
    """Of the attackers, in all rounds."""
    weight_probed: float
    """Mean over the rounds, the exposed expelled from the next round on."""
    moved_probed: float
    weight_last: float
    """In the last round."""
    honest_exposed: int
    """Honest encoders accused, of all seeds together."""

    def document(self) -> dict[str, object]:
        """For JSON."""
        figures = {name: value for name, value in vars(self).items() if name != "case"}
        case = self.case
        names = {"attack": case.attack, "probing": case.probing.value, "order": case.order.value}
        return names | figures


def rows_of(results: Mapping[Case, Sequence[Outcome]]) -> list[Row]:
    """One row for each forgery."""
    return [_row(case, found) for case, found in results.items()]


def _row(case: Case, found: Sequence[Outcome]) -> Row:
    after = np.concatenate([one.exposed_after for one in found])
    middle = float(np.median(after))
    return Row(
        case,
        max(one.unprobed.weight_captured for one in found),
        max(one.unprobed.displacement_shaped for one in found),
        min(one.unprobed.honest_score for one in found),
        middle if middle < NEVER / 2 else None,
        float((after != NEVER).mean()),
        max(float(one.weight_by_round.mean()) for one in found),
        max(float(one.moved_by_round.mean()) for one in found),
        max(float(one.weight_by_round[-1]) for one in found),
        sum(one.honest_exposed for one in found),
    )


def panels_of(results: Mapping[Case, Sequence[Outcome]]) -> dict[str, dict[str, NDArray[np.float64]]]:
    """For the picture, worst of all seeds. Forgeries that need no full view are left out."""
    panels: dict[str, dict[str, NDArray[np.float64]]] = {}
    for case, found in results.items():
        if case.order is not Order.AT_ONCE or case.attack == "honest":
            continue
        probed = np.max([one.weight_by_round for one in found], axis=0)
        unprobed = max(one.unprobed.weight_captured for one in found)
        lines = {
            "all seen at once, no probes": np.full(len(probed), unprobed),
            "all seen at once, probes": probed,
        }
        in_waves = results.get(Case(case.attack, Order.WAVES), ())
        if in_waves:
            lines["waves"] = np.max([one.weight_by_round for one in in_waves], axis=0)
        panels[case.name] = lines
    return panels
