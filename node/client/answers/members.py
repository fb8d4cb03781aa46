"""Answers about the validator asked, and about members and epochs."""

from __future__ import annotations

from typing import Any

from node.client.answers.base import Answer, Digest, Key, Terms
from node.status import PeerStatus


class Status(Answer, frozen=True):
    """What the validator asked says of itself."""

    role: str
    public_key: Key
    network: str
    network_id: Digest
    modality: str
    version: str
    started_ms: int
    updated_ms: int
    addresses: tuple[str, ...]
    peers: int
    """Connected; `peers` names them."""
    round: int
    """The slot that is open now; negative before genesis."""
    last_certified_round: int | None
    epoch: int
    phase: str
    slot_ms: int
    genesis_ms: int
    api: str | None
    counters: dict[str, int]


class PeerPage(Answer, frozen=True):
    """Connected peers."""

    total: int
    updated_ms: int
    peers: tuple[PeerStatus, ...]
    next_after: Key | None


class Encoder(Answer, frozen=True):
    """An encoder as the newest epoch has it; score and weight are means over the newest scored rounds."""

    public_key: Key
    model: str | None
    stake: int
    reputation: float
    probation: bool
    score: float | None
    weight: float | None
    terms: Terms
    """Of the newest score."""
    lof: float | None
    rounds: int
    """Shard-rounds the means are over."""
    last_round: int | None


class EncoderRound(Answer, frozen=True):
    """How an encoder did in one shard-round."""

    round: int
    shard: int
    epoch: int
    score: float | None
    weight: float | None
    terms: Terms


class EncoderHistory(Encoder, frozen=True):
    """One encoder, with its shard-rounds, newest first."""

    epoch: int
    history: tuple[EncoderRound, ...]


class EncoderPage(Answer, frozen=True):
    """In key order."""

    epoch: int
    total: int
    encoders: tuple[Encoder, ...]
    next_after: Key | None


class Validator(Answer, frozen=True):
    """A validator as the newest epoch has it."""

    public_key: Key
    stake: int
    """0 once evidence has convicted it."""
    joined: bool
    """Whether genesis does not know it."""
    connected: bool
    addresses: tuple[str, ...]


class ValidatorPage(Answer, frozen=True):
    """In key order."""

    epoch: int
    total: int
    total_stake: int
    validators: tuple[Validator, ...]
    next_after: Key | None


class Epoch(Answer, frozen=True):
    """One epoch's record at a glance; digests are None where there is nothing to name."""

    epoch: int
    digest: Digest
    previous: Digest | None
    first_round: int
    last_round: int
    validators: int
    stake: int
    encoders: int | None
    on_probation: int | None
    evidence: int
    means: Digest | None
    moments: Digest | None


class EpochPage(Answer, frozen=True):
    """Newest first."""

    epochs: tuple[Epoch, ...]
    next_before: int | None


class EpochDetail(Epoch, frozen=True):
    """One epoch with its members and the votes it stands by, as the server has decoded them."""

    record: dict[str, Any]
    members: tuple[dict[str, Any], ...]
    """The validators, the convicted too."""
    table: tuple[dict[str, Any], ...] | None
    """The encoders; None where they are kept no longer."""
    certificate: dict[str, Any] | None
    """None for epoch 0."""
