"""Epochs in a simulated network: what `node/epochs` does over streams and disks, in virtual time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from node.sim.disk import Disk
from protocol.codec import encode
from protocol.epochs.agreed import CertifiedRecord, checked_record
from protocol.epochs.checking import CertifiedOutcome
from protocol.epochs.known import Epochs
from protocol.epochs.outcome import outcome_of
from protocol.epochs.record import EncoderTable, table_of
from protocol.epochs.view import Epoch
from protocol.genesis import Genesis
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
