"""One moment of a node, as `deltamesh top` shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from node.cli.round_view import RoundDetail
from node.status import NodeStatus
from protocol.rounds.effects import Step

WAVES: Final = (1, 2, 3)


@dataclass(frozen=True, slots=True)
class Resources:
    """What the node takes of its machine; None where nobody says."""

    memory_bytes: int | None = None
    disk_free_bytes: int | None = None
    store_bytes: int | None = None
    queue_items: int | None = None


@dataclass(frozen=True, slots=True)
class EncoderGlance:
    """How an encoder does of late."""

    key: bytes
    score: float
    """Mean over the rounds that are shown."""
    weight: float
    """In its newest round."""
    history: tuple[float, ...]
    """Scores, oldest first."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a shard-round is: how many encoders have answered of how many, wave by wave."""

    dealt: bool = False
    waves: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    """Wave -> encoders that committed, encoders asked."""
    revealed: tuple[int, int] | None = None
    reported: bool = False
    attested: bool = False
    ended: str = ""
    """`certified` or `void`; nothing while it goes on."""
    reason: str = ""

    @property
    def share(self) -> float:
        """From 0 to 1: challenge, three waves, reveals, report, certificate."""
        if self.ended:
            return 1.0
        done = self.dealt + len(self.waves) + (self.revealed is not None) + self.reported
        return done / (len(WAVES) + 4)


@dataclass(frozen=True, slots=True)
class Picture:
    """One moment. `rounds` holds shard-rounds, newest first."""

    at_ms: int
    status: NodeStatus | None
    state: str
    """`running`, `silent` or `stopped`."""
    slot_ms: int
    genesis_ms: int
    rounds: tuple[RoundDetail, ...]
    encoders: tuple[EncoderGlance, ...]
    """Best first."""
    resources: Resources
    rates: Mapping[str, float] = field(default_factory=dict)
    """Counter -> its growth a second since the picture before."""

    @property
    def slot_share(self) -> float:
        """How much of the open slot is over."""
        passed_ms = self.at_ms - self.genesis_ms
        return (passed_ms % self.slot_ms) / self.slot_ms if passed_ms >= 0 else 0.0

    def document(self) -> dict[str, Any]:
        """As JSON."""
        status = self.status
        return {
            "at_ms": self.at_ms,
            "state": self.state,
            "status": None if status is None else _status_document(status),
            "slot_ms": self.slot_ms,
            "slot_share": self.slot_share,
            "rounds": [
                {
                    "round": one.summary.round,
                    "shard": one.summary.shard,
                    "state": one.summary.state,
                    "dealer": one.summary.dealer,
                    "attestations": one.summary.attestations,
                    "progress": progress_of(one).share,
                }
                for one in self.rounds
            ],
            "encoders": [
                {"encoder": one.key, "score": one.score, "weight": one.weight, "history": one.history}
                for one in self.encoders
            ],
            "memory_bytes": self.resources.memory_bytes,
            "disk_free_bytes": self.resources.disk_free_bytes,
            "store_bytes": self.resources.store_bytes,
            "queue_items": self.resources.queue_items,
            "rates": dict(self.rates),
        }


def _status_document(status: NodeStatus) -> Any:
    import msgspec

    return msgspec.to_builtins(status)


def progress_of(detail: RoundDetail) -> Progress:
    """What its steps say of a shard-round, as the node asked saw them."""
    waves: dict[int, tuple[int, int]] = {}
    seen: set[str] = set()
    revealed: tuple[int, int] | None = None
    reason = ""
    for step in detail.steps:
        seen.add(step.step)
        answered, asked = len(step.answered), len(step.answered) + len(step.missing)
        match step.step:
            case Step.LOCKED:
                waves[step.wave] = (answered, asked)
            case Step.REVEALED:
                revealed = (answered, asked)
            case Step.VOID:
                reason = step.detail
    state = detail.summary.state
    return Progress(
        dealt=Step.DEALT in seen or bool(waves),
        waves=waves,
        revealed=revealed,
        reported=Step.REPORTED in seen or state == "reported",
        attested=Step.ATTESTED in seen,
        ended=state if state in ("certified", "void") else "",
        reason=reason,
    )
