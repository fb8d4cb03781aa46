"""The encoder's life: a challenge opens a round, a model answers its waves."""

from __future__ import annotations

from typing import Any

from node.sim.epochs import FOLLOW_EVERY_MS
from node.sim.node import SimNode
from node.sim.vectors import encode
from protocol.epochs.registration import find_work
from protocol.gossip_rules import ROUNDS_KEPT
from protocol.hashing import digest
from protocol.messages import Body, Challenge, Registration
from protocol.rounds import EncoderMachine
from protocol.rounds import events as ev
from protocol.schedule import ShardRound, round_at, shard_of, shard_round
from protocol.statement import Statement

WORK_TRIES = 1 << 12
VALIDATORS_TOLD = 3


class SimEncoder(SimNode):
    """Answers the rounds it is drawn for. The less `noise` its vectors have, the better it is."""

    def __init__(self, *args: Any, noise: float = 0.0, encode_ms: int = 100) -> None:
        super().__init__(*args)
        self.noise = noise
        self.encode_ms = encode_ms
        self._salt_seed = digest("salt-seed", self.member.seed)

    def joined(self) -> None:
        """Take part; one that genesis does not know registers first."""
        super().joined()
        self._asked_epoch = -1
        if self.key not in self.genesis.encoders:
            self._register()

    def _register(self) -> None:
        """As `node/roles/registering.py`: once an epoch until it is a member."""
        self.after(FOLLOW_EVERY_MS, self._register)
        p = self.genesis.parameters
        epoch = round_at(self.genesis, self.now_ms) // p.epoch_rounds
        if self.key in self.epochs.newest.encoders or epoch < 0 or epoch == self._asked_epoch:
            return
        network_id, bits = self.genesis.network_id, p.registration_work_bits
        work = find_work(network_id, self.key, epoch, bits, 0, WORK_TRIES)
        if work is None:
            return
        self._asked_epoch = epoch
        at = shard_round(self.genesis, epoch * p.epoch_rounds, 0)
        statement = self.say(Registration(at, "sim", (), work))
        for key in list(self.genesis.validators)[:VALIDATORS_TOLD]:
            self.network.hand(self.key, key, statement.data)

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
