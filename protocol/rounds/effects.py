"""What a machine can ask for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from protocol.epochs.view import Epoch
from protocol.messages import AttestationRef, Body, Certificate, EpochCertificate, Report
from protocol.report import ReportBody, ScoredShard, ScoreTask
from protocol.schedule import ShardRound
from protocol.statement import Statement


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Sign and gossip. The signed statement comes back to the own machines as Received.

    Those in `handed_to` also get it over a stream: the round cannot do without them, and gossip may lose a
    message or not have reached a newcomer yet.
    """

    body: Body
    handed_to: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Send:
    """Sign and hand to these members over a stream."""

    body: Body
    to: tuple[bytes, ...]


class Purpose(StrEnum):
    """What bytes are kept for, hence how long."""

    VIEWS = "views"
    """A wave's ciphertext: until its round is pruned."""
    REVEAL = "reveal"
    """An encoder's answers to a wave: until its round is pruned."""
    REPORT = "report"
    """A report's body: for ever."""
    INPUTS = "inputs"
    """What an epoch's record was proposed from: until its round is pruned."""
    LEARNT = "learnt"
    """Means and moments an epoch's record names: as long as a number of epochs."""


@dataclass(frozen=True, slots=True)
class Provide:
    """Keep these bytes and serve them to whoever asks by digest."""

    data: bytes
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class Fetch:
    """Get bytes by digest, here or from the first of these members that has them, and provide them too.

    Fetched or Unavailable answers.
    """

    digest: bytes
    size_bytes: int
    sources: tuple[bytes, ...]
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Tell the machine TimerFired(timer) at `at_ms`, once."""

    timer: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Encode:
    """Embed the views of a wave; Encoded answers."""

    wave: int
    views: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """Score the revealed answers; Scored or ScoringFailed answers."""

    task: ScoreTask


@dataclass(frozen=True, slots=True)
class Recompute:
    """Score again and compare with the claim; Recomputed or ScoringFailed answers."""

    task: ScoreTask
    claimed: ScoredShard


@dataclass(frozen=True, slots=True)
class GatherInputs:
    """Gather what the record of an epoch is computed from; InputsGathered answers."""

    epoch: int


@dataclass(frozen=True, slots=True)
class CheckInputs:
    """Check proposed inputs and compute the record; InputsChecked or InputsRefused answers."""

    epoch: int
    data: bytes
    vouched: bool
    """Whether a quorum was ready for its record: then what certified rounds it leaves out is settled."""


@dataclass(frozen=True, slots=True)
class Penalise:
    """A member did what no honest one does."""

    public_key: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class ReleasedItems:
    """Record before the challenge leaves: these items are public from now on and are never scored again."""

    at: ShardRound
    scored: tuple[bytes, ...]
    served: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ReportMade:
    """Record before the report leaves."""

    at: ShardRound
    header: Report
    body: bytes


@dataclass(frozen=True, slots=True)
class RoundVoid:
    """A round that ended without a report or certificate."""

    at: ShardRound
    reason: str


@dataclass(frozen=True, slots=True)
class RoundCertified:
    """A certified report and its body."""

    at: ShardRound
    header: Statement[Report]
    certificate: Certificate
    body: ReportBody
    items: tuple[bytes, ...]
    """In batch order; empty when this node disputes the report and could not plan its batch."""


@dataclass(frozen=True, slots=True)
class EpochLocked:
    """The record of an epoch this validator stays with, and the prevotes it saw for it."""

    at: ShardRound
    """The slot in which it precommits."""
    epoch: int
    record: bytes
    seen: tuple[AttestationRef, ...]
    inputs: bytes
    """Content digest of its inputs: after a restart it has to be proposed again."""
    inputs_bytes: int


@dataclass(frozen=True, slots=True)
class EpochDecided:
    """The next epoch stands."""

    epoch: Epoch
    certificate: EpochCertificate


Fact = ReleasedItems | ReportMade | RoundVoid | RoundCertified | EpochLocked | EpochDecided


@dataclass(frozen=True, slots=True)
class Persist:
    """Write down before anything that follows in the list is done."""

    fact: Fact


class Step(StrEnum):
    """What happened, for those who watch."""

    DEALT = "dealt"
    LOCKED = "locked"
    REVEALED = "revealed"
    REPORTED = "reported"
    RECEIVED = "received"
    LATE = "late"
    ATTESTED = "attested"
    DISPUTED = "disputed"
    CERTIFIED = "certified"
    VOID = "void"
    EPOCH_REFUSED = "epoch-refused"
    EPOCH_DECIDED = "epoch-decided"


@dataclass(frozen=True, slots=True)
class Publish:
    """Tell whoever watches: which step, after how long, who answered and who did not."""

    at: ShardRound
    step: Step
    wave: int = 0
    elapsed_ms: int = 0
    answered: tuple[bytes, ...] = ()
    missing: tuple[bytes, ...] = ()
    detail: str = ""


Effect = (
    Broadcast
    | Send
    | Provide
    | Fetch
    | SetTimer
    | Encode
    | Score
    | Recompute
    | GatherInputs
    | CheckInputs
    | Penalise
    | Persist
    | Publish
)
