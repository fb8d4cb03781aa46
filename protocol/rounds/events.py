"""What a machine can be told."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.epochs.view import Epoch
from protocol.messages import Body
from protocol.report import Deviation, PoolItem, ScoredShard
from protocol.schedule import ShardRound
from protocol.statement import Statement


@dataclass(frozen=True, slots=True)
class Deal:
    """Command to the dealer: start the round with these items."""

    preimage: bytes
    scored: tuple[PoolItem, ...]
    served: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Received:
    """A statement of this shard-round that passed the gossip rules; own statements come back this way too."""

    statement: Statement[Body]


@dataclass(frozen=True, slots=True)
class Fetched:
    """Bytes asked for by digest are here and match it; their size may be another than the one asked for."""

    digest: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class Unavailable:
    """None of the sources asked had the bytes."""

    digest: bytes
    sources: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer set by this machine is due."""

    timer: str


@dataclass(frozen=True, slots=True)
class PeerGone:
    """The connection to a peer is lost."""

    public_key: bytes


@dataclass(frozen=True, slots=True)
class Scored:
    """The answer to a Score effect."""

    scores: ScoredShard


@dataclass(frozen=True, slots=True)
class ScoringFailed:
    """Scoring could not be done; the reason is our own, not a peer's."""

    reason: str


@dataclass(frozen=True, slots=True)
class Recomputed:
    """The answer to a Recompute effect: the largest deviation of every term."""

    deviations: tuple[Deviation, ...]


@dataclass(frozen=True, slots=True)
class Encoded:
    """The model's answers to a wave: little-endian float32 [views, 1024]."""

    wave: int
    answers: bytes


@dataclass(frozen=True, slots=True)
class SlotBegan:
    """A slot in which the record of the next epoch may be agreed on, named by its first shard."""

    at: ShardRound


@dataclass(frozen=True, slots=True)
class InputsGathered:
    """The answer to GatherInputs: canonical inputs, and the epoch that follows from them."""

    data: bytes
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class InputsChecked:
    """Inputs hold: the epoch that follows from them."""

    digest: bytes
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class InputsRefused:
    """Inputs do not hold, or cannot be checked here now."""

    digest: bytes
    reason: str


Event = (
    Deal
    | Received
    | Fetched
    | Unavailable
    | TimerFired
    | PeerGone
    | Scored
    | ScoringFailed
    | Recomputed
    | Encoded
    | SlotBegan
    | InputsGathered
    | InputsChecked
    | InputsRefused
)
