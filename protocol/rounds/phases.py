"""The phases of the three parts in a round and every way from one to the next, as tables.

A machine changes phase only through its table: what is not in it cannot happen.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Generic, TypeVar


class DealerPhase(Enum):
    """Where the dealer of a shard-round is."""

    IDLE = "idle"
    """Drawn, nothing dealt. Left by the command to deal."""
    WAVE_1 = "wave-1"
    """Masks are out. Left when everyone awaited has committed, or at the deadline."""
    WAVE_2 = "wave-2"
    """Inverses are out. As wave 1."""
    WAVE_3 = "wave-3"
    """Fulls and extra masks are out. As wave 1."""
    REVEALS = "reveals"
    """All locks are out; answers come in. Left when all are in or given up, or at the deadline."""
    SCORING = "scoring"
    """Left when scoring answers."""
    REPORTED = "reported"
    """Final: the report is out, the attesters decide."""
    VOID = "void"
    """Final: the items make no batch, too few encoders answered, or scoring failed."""


class DealerMove(Enum):
    """What moves the dealer."""

    DEAL = "deal"
    CLOSE_WAVE = "close-wave"
    CLOSE_REVEALS = "close-reveals"
    REPORT = "report"
    GIVE_UP = "give-up"


class AttesterPhase(Enum):
    """What an attester knows and thinks of a shard-round's report. Certification is kept beside it."""

    WAITING = "waiting"
    """No report yet."""
    FETCHING = "fetching"
    """The body and then the answers are being fetched."""
    RECOMPUTING = "recomputing"
    """All claims hold but the numbers, which are being recomputed."""
    ATTESTED = "attested"
    """Final: agreed."""
    DISPUTED = "disputed"
    """Final: does not agree, and said why."""
    EXPIRED = "expired"
    """Final: the time for this round is over without an opinion."""


class AttesterMove(Enum):
    """What moves an attester."""

    REPORT = "report"
    OWN_REPORT = "own-report"
    COMPLETE = "complete"
    AGREE = "agree"
    DISAGREE = "disagree"
    EXPIRE = "expire"


class EncoderPhase(Enum):
    """Where an encoder of the shard is."""

    IDLE = "idle"
    """No challenge yet, or not of this shard."""
    FETCHING = "fetching"
    """The wave's ciphertext is on its way."""
    ENCODING = "encoding"
    """The model works on the wave."""
    COMMITTED = "committed"
    """The commit is out. Left by the wave's lock."""
    REVEALED = "revealed"
    """Final: everything is shown."""
    LATE = "late"
    """The lock came before the answers: one more commit tells slowness from silence, then out."""
    OUT = "out"
    """Final: missed a wave, or the dealer's bytes were wrong."""


class EncoderMove(Enum):
    """What moves an encoder."""

    CHALLENGE = "challenge"
    OPEN = "open"
    COMMIT = "commit"
    NEXT_WAVE = "next-wave"
    REVEAL = "reveal"
    MISS = "miss"
    QUIT = "quit"


P = TypeVar("P", bound=Enum)
M = TypeVar("M", bound=Enum)


class Phases(Generic[P, M]):
    """A phase and the table it moves by."""

    def __init__(self, start: P, table: Mapping[tuple[P, M], P]) -> None:
        self.current = start
        self._table = table

    def move(self, move: M) -> None:
        """Follow the table. AssertionError means the machine itself is wrong, never a peer."""
        key = (self.current, move)
        assert key in self._table, f"no way {move.value!r} out of {self.current.value!r}"
        self.current = self._table[key]

    def can(self, move: M) -> bool:
        """Whether the table has this way out of the current phase."""
        return (self.current, move) in self._table


D, DM = DealerPhase, DealerMove
DEALER_TABLE: dict[tuple[DealerPhase, DealerMove], DealerPhase] = {
    (D.IDLE, DM.DEAL): D.WAVE_1,
    (D.WAVE_1, DM.CLOSE_WAVE): D.WAVE_2,
    (D.WAVE_2, DM.CLOSE_WAVE): D.WAVE_3,
    (D.WAVE_3, DM.CLOSE_WAVE): D.REVEALS,
    (D.REVEALS, DM.CLOSE_REVEALS): D.SCORING,
    (D.SCORING, DM.REPORT): D.REPORTED,
    (D.IDLE, DM.GIVE_UP): D.VOID,
    (D.WAVE_1, DM.GIVE_UP): D.VOID,
    (D.WAVE_2, DM.GIVE_UP): D.VOID,
    (D.WAVE_3, DM.GIVE_UP): D.VOID,
    (D.REVEALS, DM.GIVE_UP): D.VOID,
    (D.SCORING, DM.GIVE_UP): D.VOID,
}

A, AM = AttesterPhase, AttesterMove
ATTESTER_TABLE: dict[tuple[AttesterPhase, AttesterMove], AttesterPhase] = {
    (A.WAITING, AM.REPORT): A.FETCHING,
    (A.WAITING, AM.OWN_REPORT): A.ATTESTED,
    (A.WAITING, AM.EXPIRE): A.EXPIRED,
    (A.FETCHING, AM.COMPLETE): A.RECOMPUTING,
    (A.FETCHING, AM.DISAGREE): A.DISPUTED,
    (A.FETCHING, AM.EXPIRE): A.EXPIRED,
    (A.RECOMPUTING, AM.AGREE): A.ATTESTED,
    (A.RECOMPUTING, AM.DISAGREE): A.DISPUTED,
    (A.RECOMPUTING, AM.EXPIRE): A.EXPIRED,
}

E, EM = EncoderPhase, EncoderMove
ENCODER_TABLE: dict[tuple[EncoderPhase, EncoderMove], EncoderPhase] = {
    (E.IDLE, EM.CHALLENGE): E.FETCHING,
    (E.FETCHING, EM.OPEN): E.ENCODING,
    (E.ENCODING, EM.COMMIT): E.COMMITTED,
    (E.COMMITTED, EM.NEXT_WAVE): E.FETCHING,
    (E.COMMITTED, EM.REVEAL): E.REVEALED,
    (E.ENCODING, EM.MISS): E.LATE,
    (E.LATE, EM.COMMIT): E.OUT,
    (E.LATE, EM.QUIT): E.OUT,
    (E.FETCHING, EM.QUIT): E.OUT,
    (E.ENCODING, EM.QUIT): E.OUT,
    (E.COMMITTED, EM.QUIT): E.OUT,
}
