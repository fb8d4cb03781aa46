"""Encoders, validators and peers as the API tells them."""

from __future__ import annotations

from pydantic import Field

from node.api.models.base import Answer, Hex


class Encoder(Answer):
    """An encoder of the newest epoch. Means are over the newest scored rounds."""

    public_key: Hex
    model: str | None = Field(
        description="What its operator said it runs when it registered; nobody relies on it. Null for those "
        "of genesis and where the registration is kept no longer."
    )
    stake: int
    reputation: float = Field(description="A running average of its scores, from 0 to 1: steers sampling.")
    probation: bool = Field(description="Too new, or exposed too lately, to have weight.")
    score: float | None = Field(description="Mean of S; null where it was not scored in these rounds.")
    weight: float | None = Field(description="Mean share in the consensus embeddings.")
    terms: dict[str, float | None] = Field(description="Of its newest score, by name; null: had none.")
    lof: float | None = Field(description="The local outlier factor among these terms.")
    rounds: int = Field(description="Shard-rounds the means are over.")
    last_round: int | None = Field(description="Where it was scored last, however long ago.")


class EncoderPage(Answer):
    """Encoders in key order."""

    epoch: int
    total: int = Field(description="Encoders of the epoch.")
    encoders: tuple[Encoder, ...]
    next_after: Hex | None = Field(description="Pass it as `after` for the next page; null on the last.")


class ScoreEntry(Answer):
    """What an encoder earned in one shard of one round."""

    round: int
    shard: int
    epoch: int
    score: float | None
    weight: float | None
    terms: dict[str, float | None]


class EncoderDetail(Encoder):
    """One encoder and how it did."""

    epoch: int = Field(description="The newest: of stake, reputation and probation.")
    history: tuple[ScoreEntry, ...] = Field(description="Newest first.")


class Validator(Answer):
    """A validator of the newest epoch."""

    public_key: Hex
    stake: int = Field(description="0 once evidence has convicted it.")
    joined: bool = Field(description="Whether genesis does not know it.")
    connected: bool = Field(description="Whether this node is connected to it, or is it.")
    addresses: tuple[str, ...] = Field(description="Where genesis or its card says it can be dialled.")


class ValidatorPage(Answer):
    """Validators in key order."""

    epoch: int
    total: int
    total_stake: int = Field(description="What a quorum is two thirds of.")
    validators: tuple[Validator, ...]
    next_after: Hex | None


class Peer(Answer):
    """One connected peer."""

    public_key: Hex
    role: str = Field(description="validator, encoder or guest.")
    address: str
    outbound: bool
    since_ms: int = Field(description="When the connection was made.")
    penalty: float
    round_trip_ms: float | None = Field(description="Of the last ping; null before the first was answered.")


class PeerPage(Answer):
    """Connected peers."""

    total: int
    updated_ms: int
    peers: tuple[Peer, ...]
    next_after: Hex | None
