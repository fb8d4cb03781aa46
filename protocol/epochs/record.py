"""The record of an epoch: its members, their stakes and reputations, its seed. Integers and digests only.

The encoders' table may be large and is named by digest, so that the chain of records stays small: whoever
checks certificates needs the validators of every epoch, but the encoders of the one they look at.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from protocol.bending import Bending
from protocol.cards import ValidatorCard
from protocol.codec import CodecError, Digest, Natural, PublicKey, Record, decode, encode
from protocol.genesis import MEMBERS_MAX, VALIDATORS_MAX, Genesis, Positive
from protocol.hashing import content_digest, digest

RECORD_BYTES_MAX = 1 << 20
TABLE_BYTES_MAX = 4 << 20
EVIDENCE_MAX = 256
"""Pieces of evidence one record applies; what is left over waits for the next."""
TRANSFERS_MAX = 64
"""Stake transfers one record takes up; what is left over waits for the next."""
NOTHING = bytes(32)
"""In the place of a digest: there is none."""


class ValidatorState(Record, frozen=True):
    """A validator in this epoch."""

    public_key: PublicKey
    stake: Natural
    """0 once evidence has convicted it."""
    blocks_dealt: Natural
    """Blocks of its pool that slots of earlier epochs have spent."""


class JoinedValidator(Record, frozen=True):
    """A validator that genesis does not know."""

    card: ValidatorCard
    pool_seed: Digest
    """Seed of the epoch it joined in, which orders its pool: nobody knew it when the card was signed."""


class HeldTransfer(Record, frozen=True):
    """Stake that has left its giver and arrives in the next record: nobody votes with it in this epoch."""

    giver: PublicKey
    made: Natural
    """Epoch in which it was signed: no transfer of this giver that is as old counts again."""
    to: PublicKey
    amount: Positive
    card: Annotated[tuple[ValidatorCard, ...], msgspec.Meta(max_length=1)]
    """The newcomer's; none where `to` is a validator already."""


class EncoderState(Record, frozen=True):
    """An encoder in this epoch."""

    public_key: PublicKey
    stake: Natural
    """0 once evidence has convicted it: its key stays for a while, so that it cannot register again."""
    shards_judged: Natural
    """Certified shard-rounds in which it revealed, counted up to the end of its probation."""
    reputation_ppm: Natural
    silent_epochs: Natural
    """Epochs in a row in which it was sampled and revealed nothing; of a convicted one, all since then."""
    weight_ppm: Natural
    """Sum of its weights over the certified shard-rounds this record was made from: what it is paid for."""
    bending: Bending
    """What its answers to probes add up to."""
    exposures: Natural
    """In how many epochs probes have exposed it: each makes its next probation longer."""


class EncoderTable(Record, frozen=True):
    """All encoders of an epoch."""

    encoders: Annotated[tuple[EncoderState, ...], msgspec.Meta(max_length=MEMBERS_MAX)]
    """In key order."""


class EpochRecord(Record, frozen=True):
    """What holds during one epoch."""

    epoch: Natural
    previous: Digest
    """Digest of the record of the epoch before; NOTHING in that of epoch 0."""
    seed: Digest
    """Of all draws of the epoch."""
    validators: Annotated[tuple[ValidatorState, ...], msgspec.Meta(max_length=VALIDATORS_MAX)]
    """In key order, the convicted too."""
    joined: Annotated[tuple[JoinedValidator, ...], msgspec.Meta(max_length=VALIDATORS_MAX)]
    """Those of them that genesis does not know, in key order."""
    transfers: Annotated[tuple[HeldTransfer, ...], msgspec.Meta(max_length=TRANSFERS_MAX)]
    """Stake on its way, in the order of the givers' keys."""
    encoders: Digest
    """Content digest of the canonical EncoderTable."""
    encoders_bytes: Natural
    inputs: Digest
    """Content digest of the inputs the record was computed from; NOTHING in that of epoch 0."""
    evidence: Annotated[tuple[Digest, ...], msgspec.Meta(max_length=EVIDENCE_MAX)]
    """Digests of the evidence applied in making it, in order."""
    means: Digest
    """Content digest of the canonical EncoderMeans; NOTHING: each shard is centred on its own."""
    means_bytes: Natural
    moments: Digest
    """Content digest of the canonical ConsensusMoments; NOTHING: published vectors are not shaped."""
    moments_bytes: Natural


class RecordError(ValueError):
    """A record or table that no network has."""


def record_digest(network_id: bytes, record: EpochRecord) -> bytes:
    """The name of a record: what validators vote on."""
    return digest("epoch-record", network_id, encode(record))


def table_of(record: EpochRecord, data: bytes) -> EncoderTable:
    """The encoders' table a record names. Raises RecordError when `data` is another."""
    if len(data) != record.encoders_bytes or content_digest(data) != record.encoders:
        raise RecordError("the encoders' table is not the one the record names")
    try:
        return decode(data, EncoderTable, size_bytes_max=TABLE_BYTES_MAX)
    except CodecError as error:
        raise RecordError(str(error)) from None


def first_record(genesis: Genesis) -> tuple[EpochRecord, EncoderTable]:
    """The record of epoch 0: a pure function of genesis, so nobody votes on it."""
    probation = genesis.parameters.probation_shards
    table = EncoderTable(
        tuple(
            EncoderState(key, member.stake, probation, REPUTATION_START_PPM, 0, 0, Bending(), 0)
            for key, member in genesis.encoders.items()
        )
    )
    data = encode(table)
    record = EpochRecord(
        epoch=0,
        previous=NOTHING,
        seed=first_seed(genesis.network_id, 0),
        validators=tuple(ValidatorState(key, member.stake, 0) for key, member in genesis.validators.items()),
        joined=(),
        transfers=(),
        encoders=content_digest(data),
        encoders_bytes=len(data),
        inputs=NOTHING,
        evidence=(),
        means=NOTHING,
        means_bytes=0,
        moments=NOTHING,
        moments_bytes=0,
    )
    return record, table


REPUTATION_START_PPM = 250_000
"""Of a member that has not been judged yet."""


def first_seed(network_id: bytes, epoch: int) -> bytes:
    """Seed of an epoch that no revealed preimages reach: the first two."""
    return digest("epoch-seed", network_id, epoch.to_bytes(8, "big"))
