"""Epochs as the API tells them. Stakes and parts per million are whole numbers, as in the records."""

from __future__ import annotations

from pydantic import Field

from node.api.models.base import Answer, Base64, Hex, Next
from node.api.models.reports import Vote


class EpochSummary(Answer):
    """One epoch's record at a glance."""

    epoch: int
    digest: Hex = Field(description="The record's name: what validators voted on.")
    previous: Hex | None = Field(description="Digest of the record before; null in epoch 0.")
    first_round: int
    last_round: int
    validators: int = Field(description="Those with stake.")
    stake: int = Field(description="Theirs together: what a quorum is two thirds of.")
    encoders: int | None = Field(description="Null where the encoders' table is kept no longer.")
    on_probation: int | None = Field(description="Encoders too new, or exposed too lately, to have weight.")
    evidence: int = Field(description="Pieces of evidence applied in making it.")
    means: Hex | None = Field(description="Content digest of the encoders' means; null: there are none yet.")
    moments: Hex | None = Field(
        description="Content digest of the moments the space's transform follows from."
    )


class EpochPage(Answer):
    """Epochs, newest first."""

    epochs: tuple[EpochSummary, ...]
    next_before: Next


class RecordValidator(Answer):
    """A validator in a record."""

    public_key: Hex
    stake: int = Field(description="0 once evidence has convicted it.")
    joined: bool = Field(description="Whether genesis does not know it.")
    blocks_dealt: int = Field(description="Blocks of its pool that earlier epochs have spent.")


class Transfer(Answer):
    """Stake on its way: nobody votes with it in this epoch."""

    giver: Hex
    to: Hex
    amount: int


class RecordEncoder(Answer):
    """An encoder in the table of an epoch."""

    public_key: Hex
    stake: int = Field(description="0 once evidence has convicted it.")
    reputation_ppm: int
    weight_ppm: int = Field(description="Sum of its weights over the rounds the record was made from.")
    shards_judged: int
    silent_epochs: int
    exposures: int = Field(description="In how many epochs probes have exposed it.")
    bent_millinats: int = Field(description="What its answers to probes add up to.")
    leaning_millinats: int
    on_probation: bool


class EpochRecordDetail(Answer):
    """What the record says, decoded."""

    seed: Hex = Field(description="Of all draws of the epoch.")
    encoders_digest: Hex = Field(description="Content digest of the encoders' table.")
    inputs: Hex | None = Field(description="Content digest of what the record was computed from.")
    evidence: tuple[Hex, ...] = Field(description="Digests of the evidence applied.")
    transfers: tuple[Transfer, ...]


class EpochCertificateDetail(Answer):
    """The votes a record stands by: of validators of the epoch before, two thirds of its stake."""

    round: int = Field(description="The slot in which they voted.")
    votes: tuple[Vote, ...]
    stake: int | None = Field(description="Of the votes together.")
    total_stake: int | None
    data: Base64 = Field(description="The canonical certificate.")


class EpochDetail(EpochSummary):
    """One epoch: its members and the votes it stands by."""

    record: EpochRecordDetail
    members: tuple[RecordValidator, ...] = Field(description="The validators, the convicted too.")
    table: tuple[RecordEncoder, ...] | None = Field(
        description="The encoders; null where their table is kept no longer."
    )
    certificate: EpochCertificateDetail | None = Field(description="Null for epoch 0, which is genesis'.")
