"""An epoch as a round sees it: genesis, with the members and stakes of the epoch's record."""

from __future__ import annotations

from functools import cached_property

import msgspec

from protocol.epochs.record import (
    EncoderState,
    EncoderTable,
    EpochRecord,
    RecordError,
    ValidatorState,
    first_record,
    record_digest,
)
from protocol.genesis import Genesis, NetworkParameters, ValidatorMember

PPM = 1_000_000
REPUTATION_PULL = 3
"""An encoder of full reputation is sampled as if it had 1 + this times its stake."""


class Epoch:
    """The members of one epoch and what they are drawn by. Immutable; compared by identity."""

    def __init__(self, genesis: Genesis, record: EpochRecord, table: EncoderTable) -> None:
        """Raises RecordError for members that cannot be this network's."""
        self.genesis = genesis
        self.record = record
        self.table = table
        self.number = record.epoch
        self.seed = record.seed
        _check(genesis, record, table)

    @classmethod
    def first(cls, genesis: Genesis) -> Epoch:
        """Epoch 0."""
        return cls(genesis, *first_record(genesis))

    @property
    def network_id(self) -> bytes:
        """The network's, part of every signed statement."""
        return self.genesis.network_id

    @property
    def parameters(self) -> NetworkParameters:
        """The network's parameters, the same in all epochs."""
        return self.genesis.parameters

    @cached_property
    def digest(self) -> bytes:
        """Digest of the record."""
        return record_digest(self.genesis.network_id, self.record)

    @cached_property
    def states(self) -> dict[bytes, ValidatorState]:
        """State of every validator of genesis, in key order, the convicted too."""
        return {state.public_key: state for state in self.record.validators}

    @cached_property
    def validators(self) -> dict[bytes, ValidatorMember]:
        """The validators with stake, by public key, in key order."""
        members = self.genesis.validators
        return {
            key: msgspec.structs.replace(members[key], stake=state.stake)
            for key, state in self.states.items()
            if state.stake
        }

    @cached_property
    def encoders(self) -> dict[bytes, EncoderState]:
        """The encoders with stake, by public key, in key order."""
        return {state.public_key: state for state in self.table.encoders if state.stake}

    @cached_property
    def validator_stakes(self) -> tuple[tuple[bytes, int], ...]:
        """(public key, stake) in key order."""
        return tuple((key, member.stake) for key, member in self.validators.items())

    @cached_property
    def sampling_stakes(self) -> tuple[tuple[bytes, int], ...]:
        """(public key, stake raised by reputation) of the encoders in key order: what shards are drawn by."""
        return tuple(
            (key, state.stake * (PPM + REPUTATION_PULL * min(state.reputation_ppm, PPM)) // PPM)
            for key, state in self.encoders.items()
        )

    @cached_property
    def total_stake(self) -> int:
        """Stake of all validators: what a quorum is two thirds of."""
        return sum(stake for _, stake in self.validator_stakes)

    def is_member(self, public_key: bytes) -> bool:
        """Whether the key is a validator or an encoder with stake in this epoch."""
        return public_key in self.validators or public_key in self.encoders

    def is_on_probation(self, encoder: bytes) -> bool:
        """Whether an encoder is too new to have weight."""
        return self.encoders[encoder].shards_judged < self.parameters.probation_shards


def _check(genesis: Genesis, record: EpochRecord, table: EncoderTable) -> None:
    keys = [state.public_key for state in record.validators]
    if keys != list(genesis.validators):
        raise RecordError("the validators of an epoch are those of genesis, in key order")
    if any(state.stake > genesis.validators[state.public_key].stake for state in record.validators):
        raise RecordError("a validator cannot gain stake")
    encoders = [state.public_key for state in table.encoders]
    if encoders != sorted(set(encoders)):
        raise RecordError("the encoders of an epoch are in key order, each once")
    if genesis.validators.keys() & set(encoders):
        raise RecordError("a validator cannot be an encoder too")
