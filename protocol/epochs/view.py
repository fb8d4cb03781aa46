"""An epoch as a round sees it: genesis, with the members and stakes of the epoch's record."""

from __future__ import annotations

from functools import cached_property, lru_cache

import msgspec

from protocol.cards import ValidatorCard
from protocol.epochs.probation import shards_needed
from protocol.epochs.record import (
    EncoderState,
    EncoderTable,
    EpochRecord,
    JoinedValidator,
    RecordError,
    ValidatorState,
    first_record,
    record_digest,
)
from protocol.genesis import Genesis, NetworkParameters, ValidatorMember

PPM = 1_000_000
GENESES_KEPT = 4
"""Networks whose epoch 0 is remembered; a node has one."""
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
        return _first(genesis)

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
        """State of every validator there has been, in key order, the convicted too."""
        return {state.public_key: state for state in self.record.validators}

    @cached_property
    def validators(self) -> dict[bytes, ValidatorMember]:
        """The validators with stake, by public key, in key order."""
        genesis = self.genesis.validators
        return {
            key: (
                msgspec.structs.replace(genesis[key], stake=state.stake)
                if key in genesis
                else self.joined[key].card.as_member(state.stake)
            )
            for key, state in self.states.items()
            if state.stake
        }

    @property
    def cards(self) -> list[ValidatorCard]:
        """Those of the validators that genesis does not know, the convicted and those about to join too."""
        held = [card for one in self.record.transfers for card in one.card]
        return [*(one.card for one in self.record.joined), *held]

    def is_validating(self, public_key: bytes) -> bool:
        """Whether the key was, is or is about to be a validator: no place for an encoder."""
        return public_key in self.states or any(held.to == public_key for held in self.record.transfers)

    @cached_property
    def joined(self) -> dict[bytes, JoinedValidator]:
        """The validators that genesis does not know, by public key, in key order, the convicted too."""
        return {one.card.public_key: one for one in self.record.joined}

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
        """Whether an encoder is too new to have weight, or was exposed too lately."""
        state = self.encoders[encoder]
        return state.shards_judged < shards_needed(self.parameters, state.exposures)


@lru_cache(maxsize=GENESES_KEPT)
def _first(genesis: Genesis) -> Epoch:
    # One for all who ask: what is drawn from an epoch is remembered by its identity.
    return Epoch(genesis, *first_record(genesis))


def _check(genesis: Genesis, record: EpochRecord, table: EncoderTable) -> None:
    keys = [state.public_key for state in record.validators]
    joined = [one.card.public_key for one in record.joined]
    if joined != sorted(set(joined)) or keys != sorted({*genesis.validators, *joined}):
        raise RecordError("the validators of an epoch are genesis' and those with a card, in key order")
    if genesis.validators.keys() & set(joined):
        raise RecordError("a validator of genesis has no card")
    stake = sum(state.stake for state in record.validators) + sum(one.amount for one in record.transfers)
    if stake > genesis.total_stake:
        raise RecordError("there is more stake than genesis has given")
    encoders = [state.public_key for state in table.encoders]
    if encoders != sorted(set(encoders)):
        raise RecordError("the encoders of an epoch are in key order, each once")
    if set(keys) & set(encoders):
        raise RecordError("a validator cannot be an encoder too")
