"""The scoring rule itself in a simulated network, each shard scored once for all who would score it alike."""

from __future__ import annotations

from collections import OrderedDict

from node.scoring_task import ScoringTaskError, compare_task, score_task
from node.sim.observer import Observer
from node.sim.process import SimProcess
from node.sim.shared import REPORTS_KEPT, Shared
from node.sim.vectors import Blob, StandInError
from node.sim.world import World
from protocol.epochs.outcome import RoundOutcome, outcome_of
from protocol.report import DIMENSIONS, Deviation, ScoredShard, ScoreTask
from protocol.rounds import effects as fx
from protocol.schedule import ShardRound
from scoring import ScoringError


class RuleShared(Shared):
    """Scores by the rule of the network, as the scoring process of a node does."""

    width = DIMENSIONS

    def __init__(self) -> None:
        super().__init__()
        self._compared: OrderedDict[tuple[int, bytes], tuple[ScoreTask, tuple[Deviation, ...]]] = (
            OrderedDict()
        )

    def scores(self, task: ScoreTask, blob: Blob) -> ScoredShard:
        """As `score_task`. Raises StandInError."""
        try:
            return score_task(task, blob)
        except (ScoringTaskError, ScoringError) as error:
            raise StandInError(str(error)) from error

    def comparison(self, task: ScoreTask, blob: Blob, claimed: ScoredShard) -> tuple[Deviation, ...]:
        """As `compare_task`, once for a task that `audit` has given to many. Raises StandInError."""
        key = (id(task), claimed.score + claimed.consensus)
        if key not in self._compared:
            try:
                found = compare_task(task, blob, claimed)
            except (ScoringTaskError, ScoringError) as error:
                raise StandInError(str(error)) from error
            self._compared[key] = (task, found)  # kept with its task, so that no other gets its id
            while len(self._compared) > REPORTS_KEPT:
                self._compared.popitem(last=False)
        return self._compared[key][1]


class RuleObserver(Observer):
    """The invariants, and what every certified round says of its encoders."""

    def __init__(self, world: World, byzantine: frozenset[bytes]) -> None:
        super().__init__(world, byzantine)
        self.outcomes: dict[ShardRound, RoundOutcome] = {}
        """Of all certified rounds. Bounded by the rounds of a run."""

    def compare(self, task: ScoreTask, claimed: ScoredShard) -> tuple[Deviation, ...]:
        """By the rule."""
        try:
            return compare_task(task, self.archived, claimed)
        except (ScoringTaskError, ScoringError) as error:
            raise StandInError(str(error)) from error

    def persisted(self, node: SimProcess, fact: fx.Fact) -> None:
        """Remember a certified round's outcome."""
        super().persisted(node, fact)
        if isinstance(fact, fx.RoundCertified) and fact.at not in self.outcomes:
            epoch = self.epochs.of(fact.at.epoch)
            self.outcomes[fact.at] = outcome_of(epoch, fact.header, fact.body)
