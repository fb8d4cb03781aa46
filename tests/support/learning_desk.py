"""A validator in epoch 1 whose store holds one certified round with the real scorer's vectors."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from node.epochs.desk import EpochDesk
from node.epochs.learnt_blobs import LearntBlobs
from node.network.counters import Counters
from node.roles.recorder import Recorder
from protocol.codec import encode
from protocol.epochs.known import Epochs
from protocol.epochs.transition import next_epoch, no_inputs
from protocol.rounds import effects as fx
from protocol.rounds.events import InputsGathered
from tests.support.certified_history import open_store
from tests.support.certified_round import CertifiedRound, certified_round


@cache
def honest() -> CertifiedRound:
    """A round whose vectors are the real scorer's."""
    return certified_round()


class LearningDesk:
    """A validator in epoch 1 that has kept round 0."""

    def __init__(self, folder: Path, *, body: bool = True) -> None:
        self.store = open_store(folder)
        self.epochs = Epochs(honest().genesis)
        self.epochs.add(next_epoch(self.epochs.newest, self.epochs, no_inputs(1), ()))
        self.recorder = Recorder(self.epochs, self.store, Counters(), folder / "lock")
        made = honest()
        items = tuple(made.task.batch.items)
        self.recorder._persist(
            fx.RoundCertified(made.header.body.at, made.header, made.certificate, made.body, items)
        )
        if body:
            self.store.put_blob(encode(made.body), 0, fx.Purpose.REPORT)
        self.learnt = LearntBlobs(self.epochs, self.store)
        self.desk = EpochDesk(self.epochs, self.store, self.learnt)

    async def gathered(self) -> InputsGathered:
        """The record of epoch 2, proposed."""
        found = await self.desk.gather(2)
        assert found is not None
        return found
