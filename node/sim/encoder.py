"""The encoder's life: a challenge opens a round, a model answers its waves."""

from __future__ import annotations

from typing import Any

from node.sim.node import SimNode
from node.sim.vectors import encode
from protocol.gossip_rules import ROUNDS_KEPT
from protocol.hashing import digest
from protocol.messages import Body, Challenge
from protocol.rounds import EncoderMachine
from protocol.rounds import events as ev
from protocol.schedule import ShardRound, shard_of
from protocol.statement import Statement


class SimEncoder(SimNode):
    """Answers the rounds it is drawn for. The less `noise` its vectors have, the better it is."""

    def __init__(self, *args: Any, noise: float = 0.0, encode_ms: int = 100) -> None:
        super().__init__(*args)
        self.noise = noise
        self.encode_ms = encode_ms
        self._salt_seed = digest("salt-seed", self.member.seed)

    def unopened(self, statement: Statement[Body]) -> None:
        """Open the round of a challenge that asks this encoder."""
        if not isinstance(statement.body, Challenge) or self.signer is None:
            return
        at = statement.body.at
        epoch = self.epochs.of(at.epoch)  # known, or its challenge would not have been accepted
        if at.round < self.signer.first_round or self.key not in shard_of(epoch, at):
            return
        self.machines[at] = [EncoderMachine(epoch, at, self.key, self._salt_seed)]
        for old in [old for old in self.machines if old.round < at.round - ROUNDS_KEPT]:
            del self.machines[old]

    def encode(self, at: ShardRound, wave: int, texts: tuple[str, ...]) -> None:
        """Answer a wave after the model's time."""
        answers = self.answers(texts)
        self.after(self.encode_ms, lambda: self.handle(at, ev.Encoded(wave, answers)))

    def answers(self, texts: tuple[str, ...]) -> bytes:
        """Vectors of a wave's views."""
        return encode(self.key, self.noise, texts)
