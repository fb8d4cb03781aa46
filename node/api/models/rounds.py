"""Rounds as the API tells them."""

from __future__ import annotations

from pydantic import Field

from node.api.models.base import Answer, Hex, Next
from node.store import RoundState


class Round(Answer):
    """One shard of one round."""

    round: int
    shard: int
    epoch: int
    state: RoundState = Field(description="open, reported, certified (final) or void.")
    dealer: Hex | None = Field(description="The validator drawn to deal; null where it is not known here.")
    report: Hex | None = Field(
        description="Digest of the report, which is also the certificate's id once the state is certified."
    )
    updated_ms: int
    items: int | None = Field(description="Items of the batch; null before the round is certified.")
    embeddings: int = Field(description="Items with a certified embedding: the others nobody answered well.")


class RoundPage(Answer):
    """Rounds, newest first, all shards of each."""

    rounds: tuple[Round, ...]
    next_before: Next


class Score(Answer):
    """What one encoder of the shard earned."""

    encoder: Hex
    score: float | None = Field(description="S of the scoring rule, 0 to 1.")
    weight: float | None = Field(description="Its share in the consensus embeddings.")
    terms: dict[str, float | None] = Field(description="By name; null where it had none, or not a number.")


class Step(Answer):
    """One step of the round as this node saw it."""

    step: str
    wave: int = Field(description="1 to 3; 0 where there is none.")
    elapsed_ms: int = Field(description="How long it took.")
    answered: tuple[Hex, ...]
    missing: tuple[Hex, ...] = Field(description="Awaited, and missing or late.")
    detail: str
    at_ms: int


class Dispute(Answer):
    """A validator recomputed a report and does not agree."""

    digest: Hex
    round: int
    shard: int
    disputer: Hex
    stake: int = Field(description="Of the disputer, in the round's epoch; 0 where that is not known here.")
    report: Hex | None
    dealer: Hex | None = Field(description="Who signed the report, where it was seen here.")
    term: str | None = Field(description="Which term of the report; null where the dispute is unreadable.")
    encoder: str | None = Field(
        pattern="^([0-9a-f]{2}){1,32}$", description="Whose; null when the term is nobody's in particular."
    )
    difference_ppm: int | None = Field(
        description="|a - b| / (1 + |b|), parts per million; 0: the claim is simply false, "
        "1000000000: not comparable."
    )
    tolerance_ppm: int = Field(description="How far numbers may lie apart in this network.")
    detail: str
    received_ms: int


class Shard(Round):
    """One shard of a round with all that is known of it here."""

    scores: tuple[Score, ...] = Field(description="Heaviest weight first; empty before a certificate.")
    steps: tuple[Step, ...] = Field(description="In order; dropped with old rounds (retention_rounds).")
    timings_ms: dict[str, int] = Field(description="Lengths by phase, where this node measured them.")
    attestations: tuple[Hex, ...] = Field(description="Validators whose votes the certificate holds.")
    stake: int | None = Field(description="Theirs together; null where the epoch is not known here.")
    total_stake: int | None = Field(description="What a quorum is two thirds of.")
    disputes: tuple[Dispute, ...]


class RoundDetail(Answer):
    """All of one round."""

    round: int
    epoch: int
    starts_ms: int = Field(description="When its slot begins.")
    shards: tuple[Shard, ...]
