"""Encoders that cheat: by the protocol's own means, or in what they answer.

What the second kind wins against the scoring rule is for the adversary table; here it must break no rule of
the protocol, be there as many of them as there may.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

import msgspec

from node.sim.encoder import SimEncoder
from node.sim.vectors import encode
from protocol.hashing import digest
from protocol.messages import Body, Commit, Reveal
from protocol.report import DIMENSIONS, VECTOR_BYTES
from protocol.rounds import effects as fx
from protocol.schedule import ShardRound
from protocol.signatures import sign
from protocol.statement import Statement, assemble, statement_digest

NOISE = 50.0
NAN = b"\x00\x00\xc0\x7f"


class Cheat(StrEnum):
    """What a cheating encoder does."""

    SILENT = "silent"
    """Never says anything."""
    LATE = "late"
    """Answers half a second after the deadline."""
    FALSE_REVEAL = "false-reveal"
    """Shows another salt than it committed with, then the right one."""
    TWO_COMMITS = "two-commits"
    """One commit for the dealer, another for the witnesses."""
    WITHHOLD = "withhold"
    """Reveals digests and never serves the answers."""
    NOISE = "noise"
    """Answers noise."""
    ZERO = "zero"
    """Answers zeros."""
    NAN = "nan"
    """Answers what is no number."""
    CONSTANT = "constant"
    """Answers the same to everything."""
    REPLAY = "replay"
    """Answers what it answered to other texts once."""
    COLLUDE = "collude"
    """Answers random directions that all of its kind share."""


DRAWN: Final = (
    Cheat.SILENT,
    Cheat.LATE,
    Cheat.FALSE_REVEAL,
    Cheat.TWO_COMMITS,
    Cheat.WITHHOLD,
    Cheat.NOISE,
)
"""What the cheating encoders of genesis are drawn from."""
ZOO: Final = (Cheat.ZERO, Cheat.NAN, Cheat.CONSTANT, Cheat.REPLAY, Cheat.COLLUDE)
"""Cheats in the answers alone: whoever commits them answers in time, in the right size."""


class CheatingEncoder(SimEncoder):
    """Cheats in one way."""

    def __init__(self, *args: Any, cheat: Cheat, noise: float) -> None:
        super().__init__(*args, noise=NOISE if cheat is Cheat.NOISE else noise)
        self.cheat = cheat
        if cheat is Cheat.LATE:
            self.encode_ms = self.genesis.parameters.wave_deadline_ms + 500

    def say(self, body: Body) -> Statement[Body]:
        """No signer is asked."""
        name = statement_digest(self.genesis.network_id, self.key, body)
        statement = assemble(self.genesis.network_id, self.key, body, sign(self.member.seed, name))
        self.hearing.remember(statement)
        self.observer.said(self, statement)
        self.note(f"says {self.observer.named(statement)}")
        return statement

    def one(self, at: ShardRound, effect: fx.Effect) -> None:
        """Carry out an effect, or cheat."""
        match self.cheat, effect:
            case Cheat.SILENT, fx.Send():
                self.note("says nothing")
            case Cheat.FALSE_REVEAL, fx.Send(Reveal() as reveal, to):
                other = (digest("sim-cheat", reveal.salts[0]), *reveal.salts[1:])
                super().one(at, fx.Send(msgspec.structs.replace(reveal, salts=other), to))
                super().one(at, effect)
            case Cheat.TWO_COMMITS, fx.Send(Commit() as commit, to):
                other_commit = msgspec.structs.replace(
                    commit, commitment=digest("sim-cheat", commit.commitment)
                )
                super().one(at, fx.Send(commit, to[:1]))
                super().one(at, fx.Send(other_commit, to[1:]))
            case _:
                super().one(at, effect)

    def answers(self, texts: tuple[str, ...]) -> bytes:
        """Vectors of a wave's views, or what it sends instead."""
        match self.cheat:
            case Cheat.ZERO:
                return bytes(len(texts) * VECTOR_BYTES)
            case Cheat.NAN:
                return NAN * (len(texts) * DIMENSIONS)
            case Cheat.CONSTANT:
                return encode(b"", 0.0, ("always the same",)) * len(texts)
            case Cheat.REPLAY:
                return encode(self.key, 0.0, tuple(f"stored text {number}" for number in range(len(texts))))
            case Cheat.COLLUDE:
                return encode(b"cabal", NOISE, texts)
        return super().answers(texts)

    def serve(self, digest: bytes, to: bytes) -> bytes | None:
        """Its answers, unless it withholds them."""
        return None if self.cheat is Cheat.WITHHOLD else super().serve(digest, to)
