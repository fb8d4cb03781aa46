"""Encoders that cheat by the protocol's own means; cheating at scores is for the adversary table."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from node.sim.encoder import SimEncoder
from protocol.hashing import digest
from protocol.messages import Body, Commit, Reveal
from protocol.rounds import effects as fx
from protocol.schedule import ShardRound
from protocol.signatures import sign
from protocol.statement import Statement, assemble, statement_digest

NOISE = 50.0


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

    def serve(self, digest: bytes, to: bytes) -> bytes | None:
        """Its answers, unless it withholds them."""
        return None if self.cheat is Cheat.WITHHOLD else super().serve(digest, to)
