"""What a validator brings to the agreement on the next epoch, and how it checks what others bring."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import structlog
import trio

from node.epochs.learnt_blobs import LearntBlobs
from node.store import Store, StoreError
from protocol.codec import CodecError, decode, encode
from protocol.epochs.checking import (
    CertifiedOutcome,
    InputsError,
    Known,
    check_inputs,
    gather_inputs,
)
from protocol.epochs.inputs import REGISTRATIONS_MAX
from protocol.epochs.known import Epochs
from protocol.epochs.learnt import Learn, LearntError
from protocol.epochs.outcome import RoundOutcome
from protocol.epochs.record import EVIDENCE_MAX, TRANSFERS_MAX
from protocol.epochs.view import Epoch
from protocol.hashing import content_digest
from protocol.messages import Body, Evidence, Exit, Registration, StakeTransfer
from protocol.rounds.events import InputsChecked, InputsGathered, InputsRefused
from protocol.statement import Statement, StatementError, expect

OUTCOME_BYTES_MAX = 1 << 20
EVIDENCE_HEARD_MAX = 4 * EVIDENCE_MAX
TRANSFERS_HEARD_MAX = 4 * TRANSFERS_MAX

log = structlog.get_logger(__name__)

B = TypeVar("B", bound=Body)


class EpochDesk:
    """Registrations, exits, transfers and evidence heard of, the newest of each; rounds are the store's."""

    def __init__(self, epochs: Epochs, store: Store, learnt: LearntBlobs) -> None:
        """Raises StoreError."""
        self._epochs = epochs
        self._learnt = learnt
        self._store = store
        self._registrations: OrderedDict[bytes, Statement[Registration]] = OrderedDict()
        self._exits: OrderedDict[bytes, Statement[Exit]] = OrderedDict()
        self._transfers: OrderedDict[bytes, Statement[StakeTransfer]] = OrderedDict()
        self._evidence: OrderedDict[bytes, Statement[Evidence]] = OrderedDict()
        self._remember_stored()

    def witness(self, statement: Statement[Body]) -> None:
        """Take note of what may enter a record."""
        match statement.body:
            case Registration():
                _put(self._registrations, statement, REGISTRATIONS_MAX)
            case Exit():
                _put(self._exits, statement, REGISTRATIONS_MAX)
            case StakeTransfer():
                _put(self._transfers, statement, TRANSFERS_HEARD_MAX)
            case Evidence():
                _put(self._evidence, statement, EVIDENCE_HEARD_MAX)

    async def gather(self, epoch: int) -> InputsGathered | None:
        """The inputs of the next epoch as known here; None when another epoch is next. Raises StoreError."""
        if epoch != self._epochs.newest.number + 1:
            return None
        heard = Known(
            (),
            (*self._registrations.values(),),
            (*self._exits.values(),),
            (*self._evidence.values(),),
            (*self._transfers.values(),),
        )
        try:
            return await trio.to_thread.run_sync(self._gather, heard)
        except LearntError as error:
            log.warning("epoch.not_proposed", epoch=epoch, reason=str(error))
            return None

    async def check(self, epoch: int, data: bytes, vouched: bool) -> InputsChecked | InputsRefused:
        """What follows from proposed inputs, or why nothing does; as `check_inputs`. Raises StoreError."""
        name = content_digest(data)
        if epoch != self._epochs.newest.number + 1:
            return InputsRefused(name, f"epoch {epoch} is not the next")
        try:
            heard = (*self._evidence.values(),)
            found = await trio.to_thread.run_sync(self._check, data, heard, vouched)
        except InputsError as error:
            return InputsRefused(name, str(error))
        return InputsChecked(name, found)

    def _gather(self, heard: Known) -> InputsGathered:
        known = replace(heard, rounds=self._certified())
        inputs, epoch = gather_inputs(self._epochs, known, self._learn_from(known.rounds))
        return InputsGathered(encode(inputs), epoch)

    def _check(self, data: bytes, heard: tuple[Statement[Evidence], ...], vouched: bool) -> Epoch:
        certified = self._certified()
        learn = self._learn_from(certified)
        return check_inputs(self._epochs, data, certified, learn, heard=heard, vouched=vouched)

    def _learn_from(self, certified: Sequence[CertifiedOutcome]) -> Learn:
        return partial(self._learnt.learn, outcomes={one.outcome.at: one.outcome for one in certified})

    def _certified(self) -> list[CertifiedOutcome]:
        """The rounds the next record takes up: those of the epoch before the newest."""
        length = self._epochs.genesis.parameters.epoch_rounds
        epoch = self._epochs.newest.number - 1
        if epoch < 0:
            return []
        found = []
        for record in self._store.certified_between(epoch * length, (epoch + 1) * length):
            if record.outcome is None or record.report_digest is None:
                raise StoreError(f"round {record.round} was certified by older software: catch up again")
            try:
                outcome = decode(record.outcome, RoundOutcome, size_bytes_max=OUTCOME_BYTES_MAX)
            except CodecError as error:
                raise StoreError(f"the outcome of round {record.round} is damaged: {error}") from None
            found.append(CertifiedOutcome(record.report_digest, outcome))
        return found

    def _remember_stored(self) -> None:
        """Evidence of an earlier process."""
        for row in self._store.evidence():
            try:
                self.witness(expect(row.envelope, self._epochs.genesis.network_id, Evidence))
            except StatementError:
                continue


def _put(table: OrderedDict[bytes, Statement[B]], statement: Statement[Body], most: int) -> None:
    table[statement.digest] = statement  # type: ignore[assignment]
    while len(table) > most:
        table.popitem(last=False)
