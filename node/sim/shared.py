"""What all members of a simulation would compute alike, computed once: pure functions of the same arguments.

Many nodes in one process read the same bytes many times. What is refused is computed anew each time, and the
observer, who checks the members, shares nothing with them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import cast

from node.sim.disk import Disk
from node.sim.epochs import learnt_on
from node.sim.vectors import WIDTH, Blob, deviations_from, stand_in_scores
from protocol.audit import AuditedReport, audit_report
from protocol.epochs.inputs import CertifiedRef
from protocol.epochs.known import Epochs
from protocol.epochs.learnt import Learnt
from protocol.epochs.view import Epoch
from protocol.hashing import content_digest
from protocol.messages import Report
from protocol.report import Deviation, ScoredShard, ScoreTask
from protocol.statement import Read, Statement, parse

STATEMENTS_KEPT = 2_048
REPORTS_KEPT = 8
LEARNT_KEPT = 8
DIGESTS_KEPT = 256


class Shared:
    """Of one simulation, hence of one network. Bounded: the oldest go first."""

    width = WIDTH
    """Dimensions that answers use."""

    def __init__(self) -> None:
        self.read = cast(Read, lru_cache(maxsize=STATEMENTS_KEPT)(parse))
        self._learnt: OrderedDict[tuple[bytes, tuple[CertifiedRef, ...]], Learnt] = OrderedDict()
        self.content_digest: Callable[[bytes], bytes] = lru_cache(maxsize=DIGESTS_KEPT)(content_digest)
        self._scored: OrderedDict[int, tuple[ScoreTask, ScoredShard]] = OrderedDict()
        self._audited: OrderedDict[tuple[bytes, bytes], AuditedReport] = OrderedDict()

    def audit(self, epoch: Epoch, header: Statement[Report], data: bytes) -> AuditedReport:
        """As `audit_report`, once for a header and a body. Raises AuditError."""
        audited = self._audited.get((header.digest, data))
        if audited is None:
            audited = self._audited[header.digest, data] = audit_report(epoch, header, data)
            while len(self._audited) > REPORTS_KEPT:
                self._audited.popitem(last=False)
        return audited

    def learn(self, disk: Disk, epochs: Epochs, rounds: Sequence[CertifiedRef]) -> Learnt:
        """As `learnt_on`, once for an epoch and the rounds it takes up. Raises LearntError."""
        key = (epochs.newest.digest, tuple(rounds))
        if key not in self._learnt:
            self._learnt[key] = learnt_on(disk, epochs, rounds, self.width)
            while len(self._learnt) > LEARNT_KEPT:
                self._learnt.popitem(last=False)
        return self._learnt[key]

    def scores(self, task: ScoreTask, blob: Blob) -> ScoredShard:
        """As `stand_in_scores`, once for a task that `audit` has given to many. Raises StandInError."""
        _, scores = self._scored.get(id(task), (None, None))
        if scores is None:
            scores = stand_in_scores(task, blob)
            self._scored[id(task)] = (task, scores)  # kept with its task, so that no other gets its id
            while len(self._scored) > REPORTS_KEPT:
                self._scored.popitem(last=False)
        return scores

    def comparison(self, task: ScoreTask, blob: Blob, claimed: ScoredShard) -> tuple[Deviation, ...]:
        """How far each claim lies from these scores. Raises StandInError."""
        return deviations_from(self.scores(task, blob), task, claimed)


class Unshared(Shared):
    """Nothing is: every node reads and audits for itself, where its own work is what is measured."""

    def __init__(self) -> None:
        self.read = parse
        self.content_digest = content_digest

    def learn(self, disk: Disk, epochs: Epochs, rounds: Sequence[CertifiedRef]) -> Learnt:
        """As `learnt_on`. Raises LearntError."""
        return learnt_on(disk, epochs, rounds, self.width)

    def audit(self, epoch: Epoch, header: Statement[Report], data: bytes) -> AuditedReport:
        """As `audit_report`. Raises AuditError."""
        return audit_report(epoch, header, data)

    def scores(self, task: ScoreTask, blob: Blob) -> ScoredShard:
        """As `stand_in_scores`. Raises StandInError."""
        return stand_in_scores(task, blob)
