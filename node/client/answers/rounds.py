"""Answers about rounds, disputes and evidence."""

from __future__ import annotations

from typing import Any

from node.client.answers.base import Answer, Digest, Key, Terms


class Round(Answer, frozen=True):
    """One shard of a round."""

    round: int
    shard: int
    epoch: int
    state: str
    """`open`, `reported`, `certified` (final) or `void`."""
    dealer: Key | None
    report: Digest | None
    """Digest of the report, which is the certificate's id once the state is certified."""
    updated_ms: int
    items: int | None
    embeddings: int


class RoundPage(Answer, frozen=True):
    """Newest first."""

    rounds: tuple[Round, ...]
    next_before: int | None


class Score(Answer, frozen=True):
    """Of one encoder in one shard-round."""

    encoder: Key
    score: float | None
    weight: float | None
    terms: Terms


class Step(Answer, frozen=True):
    """One step of a shard-round, as the validator asked saw it; `wave` is 0 where there is none."""

    step: str
    wave: int
    elapsed_ms: int
    answered: tuple[Key, ...]
    missing: tuple[Key, ...]
    detail: str
    at_ms: int


class Dispute(Answer, frozen=True):
    """One validator's refusal of one report; `term` is None where its bytes cannot be read."""

    digest: Digest
    round: int
    shard: int
    disputer: Key
    stake: int
    report: Digest | None
    dealer: Key | None
    term: str | None
    encoder: str | None
    difference_ppm: int | None
    tolerance_ppm: int
    detail: str
    received_ms: int


class RoundShard(Round, frozen=True):
    """All the validator asked knows of one shard-round."""

    scores: tuple[Score, ...]
    steps: tuple[Step, ...]
    attestations: tuple[Key, ...]
    """Validators whose votes the certificate holds."""
    stake: int | None
    total_stake: int | None
    disputes: tuple[Dispute, ...]


class RoundDetail(Answer, frozen=True):
    """A round with all its shards."""

    round: int
    epoch: int
    starts_ms: int
    shards: tuple[RoundShard, ...]


class Evidence(Answer, frozen=True):
    """A proof of misbehaviour."""

    digest: Digest
    offender: Key
    kind: str
    teller: Key | None
    statements: tuple[dict[str, Any], ...]
    """Each with its kind, digest, place and base64 envelope."""
    received_ms: int


class EvidencePage(Answer, frozen=True):
    """Newest first."""

    evidence: tuple[Evidence, ...]
    next_before: int | None


class DisputePage(Answer, frozen=True):
    """Newest first."""

    disputes: tuple[Dispute, ...]
    next_before: int | None
