"""Epochs in a simulated network: what `node/epochs` does over streams and disks, in virtual time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from node.epochs.learning import ShardVectors, learn_from
from node.sim.disk import Disk
from protocol.codec import encode
from protocol.epochs.agreed import CertifiedRecord, checked_record
from protocol.epochs.checking import CertifiedOutcome
from protocol.epochs.inputs import CertifiedRef
from protocol.epochs.known import Epochs
from protocol.epochs.learnt import Learnt, LearntError, shaping_percent
from protocol.epochs.outcome import outcome_of
from protocol.epochs.record import NOTHING, EncoderTable, table_of
from protocol.epochs.view import Epoch
from protocol.genesis import Genesis
from protocol.report import DIMENSIONS
from protocol.rounds import effects as fx

FOLLOW_EVERY_MS = 5_000
"""How often a node asks another for records and rounds it lacks."""


class ToldEpoch(NamedTuple):
    """What a validator serves of one epoch."""

    record: CertifiedRecord
    encoders: bytes


def epochs_on(disk: Disk, genesis: Genesis) -> Epochs:
    """The epochs a process finds on its disk."""
    epochs = Epochs(genesis)
    for fact in decided_on(disk):
        if fact.epoch.number == epochs.newest.number + 1:
            epochs.add(fact.epoch)
    return epochs


def decided_on(disk: Disk) -> list[fx.EpochDecided]:
    """The epochs written down, in the order they were."""
    return [fact for fact in disk.facts if isinstance(fact, fx.EpochDecided)]


def lock_on(disk: Disk) -> fx.EpochLocked | None:
    """The record this validator had said it stays with, last."""
    locks = [fact for fact in disk.facts if isinstance(fact, fx.EpochLocked)]
    return locks[-1] if locks else None


def told_epochs(disk: Disk, first: int) -> tuple[ToldEpoch, ...]:
    """Epochs from a number on, for whoever asks."""
    return tuple(
        ToldEpoch(CertifiedRecord(encode(fact.epoch.record), fact.certificate), encode(fact.epoch.table))
        for fact in decided_on(disk)
        if fact.epoch.number >= first
    )


def checked_epochs(epochs: Epochs, told: Iterable[ToldEpoch]) -> Iterable[fx.EpochDecided]:
    """The epochs that follow from the newest known, each checked before the next is looked at.

    Raises what `checked_record` and `table_of` raise for a lie.
    """
    for one in told:
        members = epochs.newest
        record = checked_record(members, one.record)
        table: EncoderTable = table_of(record, one.encoders)
        yield fx.EpochDecided(Epoch(members.genesis, record, table), one.record.certificate)


def learnt_on(disk: Disk, epochs: Epochs, rounds: Sequence[CertifiedRef], width: int) -> Learnt:
    """As `node/epochs/learnt_blobs.py`, of the first `width` dimensions. Raises LearntError."""
    members = epochs.newest
    before = [b"", b""]
    for at, name in enumerate((members.record.means, members.record.moments)):
        if name != NOTHING:
            before[at] = disk.blobs.get(name, b"")
            if not before[at]:
                raise LearntError(f"what epoch {members.number} has learnt is not here")
    facts = {fact.at: fact for fact in disk.facts if isinstance(fact, fx.RoundCertified)}
    shards = []
    for ref in reversed(rounds):
        fact = facts[ref.at]
        outcome = outcome_of(epochs.of(ref.at.epoch), fact.header, fact.body)
        means, consensus = (
            np.frombuffer(data, "<f4").reshape(-1, DIMENSIONS)[:, :width]
            for data in (fact.body.scores.means, fact.body.scores.consensus)
        )
        revealed = [row for row, here in enumerate(outcome.revealed) if here]
        shards.append(ShardVectors([outcome.encoders[row] for row in revealed], means[revealed], consensus))
    keys = {state.public_key for state in members.table.encoders}
    centred = bool(rounds) and epochs.of(rounds[0].at.epoch).record.means != NOTHING
    percent = shaping_percent(members.genesis.parameters.rule)
    return learn_from(Learnt(*before), keys, centred, shards, percent)


def certified_in(disk: Disk, epochs: Epochs, epoch: int) -> Sequence[CertifiedOutcome]:
    """The certified shard-rounds of an epoch on a disk, in order."""
    members = epochs.find(epoch)
    if members is None:
        return ()
    facts = {
        fact.at: fact for fact in disk.facts if isinstance(fact, fx.RoundCertified) and fact.at.epoch == epoch
    }
    return [
        CertifiedOutcome(facts[at].header.digest, outcome_of(members, facts[at].header, facts[at].body))
        for at in sorted(facts)
    ]
