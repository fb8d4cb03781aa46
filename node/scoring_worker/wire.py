"""What the node and its scoring process say to each other: length-prefixed msgpack over pipes."""

from __future__ import annotations

import msgspec

from protocol.report import Deviation, ScoredShard, ScoreTask


class Request(msgspec.Struct, frozen=True):
    """Score a task, or compare it with a claim."""

    task: ScoreTask
    claimed: ScoredShard | None


class Response(msgspec.Struct, frozen=True):
    """Exactly one of the three is there."""

    scores: ScoredShard | None = None
    deviations: tuple[Deviation, ...] | None = None
    error: str | None = None


class Setup(msgspec.Struct, frozen=True):
    """The first frame: where the answers are and how to compute."""

    blobs_dir: str
    device: str
    threads: int
    slab_bytes_max: int
