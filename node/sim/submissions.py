"""What users submit waits on a validator's disk until it is certified, as in `node/submissions.py`."""

from __future__ import annotations

from typing import Final

from node.sim.disk import Disk
from protocol.rounds import effects as fx
from protocol.rounds.attester import EXPIRY_SLOTS

WAITING: Final = -1
HANDED_OVER_MAX: Final = 1
"""Of the two served items that a simulated batch has room for, one is of its dealer's own."""


class Queue:
    """Pending items of one validator, each with the round it is dealt in. Bounded by what users submit."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def submit(self, item: bytes) -> None:
        """Keep an item. Raises DiskError, Crash."""
        if item not in self._disk.pending:
            self._disk.write(lambda: self._disk.pending.update({item: WAITING}))

    def waiting(self) -> tuple[bytes, ...]:
        """What would be served now, oldest first, within the bound for one batch."""
        found = [item for item, round_ in self._disk.pending.items() if round_ == WAITING]
        return tuple(found[:HANDED_OVER_MAX])

    def recorded(self, fact: fx.Fact) -> None:
        """A fact is on the disk: items are dealt, come back, or are done with."""
        pending = self._disk.pending
        match fact:
            case fx.ReleasedItems(at, _, served):
                pending.update({item: at.round for item in served if item in pending})
            case fx.RoundVoid(at, _):
                pending.update({item: WAITING for item, round_ in pending.items() if round_ == at.round})
            case fx.RoundCertified():
                for item in fact.items:
                    pending.pop(item, None)

    def requeue(self, round_: int) -> None:
        """A slot begins: what was dealt in a round that never ended here waits again."""
        lost = [item for item, at in self._disk.pending.items() if WAITING < at < round_ - EXPIRY_SLOTS]
        self._disk.pending.update(dict.fromkeys(lost, WAITING))
