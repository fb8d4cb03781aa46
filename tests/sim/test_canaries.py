"""The simulator's own test: a network made wrong in one place is caught, within a stated number of seeds."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

import protocol.certificates
import protocol.rounds.attester
from node.sim.node import SimNode
from node.sim.run import simulate
from node.sim.scenario import Wishes, draw_scenario
from node.sim.signer import SimSigner
from protocol.evidence import Slot
from protocol.hearing import Hearing
from protocol.rounds import effects as fx
from protocol.schedule import ShardRound, round_at
from protocol.signatures import sign

pytestmark = pytest.mark.slow
SEEDS = 20


def caught(wishes: Wishes = Wishes()) -> tuple[str, int]:  # noqa: B008 (frozen)
    """The first violation and how many seeds it took; the empty string when there is none."""
    for seed in range(SEEDS):
        violation = simulate(draw_scenario(seed, wishes)).violation
        if violation:
            return violation.split(":")[0], seed + 1
    return "", SEEDS


def test_healthy_network__breaks_no_invariant() -> None:
    assert caught() == ("", SEEDS)


def test_quorum_of_one_half__is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (protocol.certificates, protocol.rounds.attester):
        monkeypatch.setattr(module, "has_quorum", lambda stake, total: 2 * stake >= total)
    assert caught()[0] in ("two thirds certify", "one certificate a shard-round")


def test_statements_not_remembered__are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hearing, "remember", lambda self, statement: None)
    assert caught()[0] in ("every statement once", "one statement a slot")


def test_persisting_after_sending__is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = SimNode.carry_out

    def late(self: SimNode, at: ShardRound, effects: Sequence[fx.Effect]) -> None:
        honest(self, at, sorted(effects, key=lambda effect: isinstance(effect, fx.Persist)))

    monkeypatch.setattr(SimNode, "carry_out", late)
    assert caught() == ("durable before said", 1)


def test_signing_before_recording_the_vote__is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimSigner, "sign", lambda self, slot, name: sign(self._seed, name))
    assert caught() == ("durable before said", 1)


def test_signer_that_signs_twice__is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(self: SimSigner, slot: Slot, name: bytes) -> None:
        self._disk.votes[slot] = name

    monkeypatch.setattr(SimSigner, "_vote", forget)
    monkeypatch.setattr(SimSigner, "open", lambda self, first_round: setattr(self, "_usable", True))
    monkeypatch.setattr(SimNode, "next_round", lambda self: max(0, round_at(self.genesis, self.now_ms)))
    wishes = Wishes(validators=4, encoders=5, byzantine=1, cheaters=0, crashes=40, rounds=8)
    assert caught(wishes)[0] in (
        "one vote a slot",
        "no evidence against the honest",
        "earlier rounds are closed",
    )


def test_byzantine_half_of_the_stake__is_caught() -> None:
    assert caught(Wishes(validators=4, byzantine=2))[0] == "one certificate a shard-round"
