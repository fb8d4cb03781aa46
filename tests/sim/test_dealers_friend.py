"""A byzantine dealer and the encoder it favours, in the simulator: the node's machines, records, audits."""

from __future__ import annotations

from typing import Any

import pytest

import node.sim.run
from node.sim.byzantine import ByzantineValidator
from node.sim.cheating import Cheat, CheatingEncoder
from node.sim.run import Simulation
from protocol.epochs.record import EncoderState
from protocol.epochs.view import PPM
from protocol.rounds import events as ev
from protocol.schedule import ShardRound, chain_depth, dealer_of, pool_indices
from tests.sim.test_simulation import calm

CAP_PPM = PPM // 4
"""More than the best encoder here wins in a round."""
POOR = 1.5
"""Noise of an encoder that is worse than any honest one here."""


class Friend(CheatingEncoder):
    """A poor encoder that answers perfectly where its dealer has told it the items beforehand."""

    dealers: frozenset[bytes] = frozenset()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.told_in: list[ShardRound] = []

    def encode(self, at: ShardRound, wave: int, texts: tuple[str, ...]) -> None:
        is_told = dealer_of(self.epochs.of(at.epoch), at) in self.dealers
        if is_told and wave == 1:
            self.told_in.append(at)
        self.noise = 0.0 if is_told else POOR
        super().encode(at, wave, texts)


def states_of(simulation: Simulation, key: bytes) -> list[EncoderState]:
    """Of an encoder, from the third record on: those that rounds have entered."""
    epochs = simulation.observer.epochs
    numbers = range(3, epochs.newest.number + 1)
    return [
        state for number in numbers for state in epochs.of(number).table.encoders if state.public_key == key
    ]


def played(
    monkeypatch: pytest.MonkeyPatch, variant: int, rounds: int, is_told: bool
) -> tuple[Simulation, list[EncoderState], Friend]:
    scenario = calm(
        seed=variant, variant=variant, rounds=rounds, validators=7, lies=((),), cheats=(Cheat.NOISE,)
    )
    monkeypatch.setattr(node.sim.run, "CheatingEncoder", Friend)
    simulation = Simulation(scenario)
    bought = simulation.world.validators[0].key
    monkeypatch.setattr(Friend, "dealers", frozenset({bought} if is_told else ()))
    outcome = simulation.run()
    assert outcome.violation == ""
    (friend,) = [one for one in simulation.nodes if isinstance(one, Friend)]
    return simulation, states_of(simulation, friend.key), friend


@pytest.mark.parametrize(
    # Variants in which the bought validator deals rounds that a record of the run still takes up.
    ("variant", "rounds"),
    [(5, 22), *(pytest.param(one, 32, marks=pytest.mark.slow) for one in (0, 3, 5))],
)
def test_friend_of_a_dealer__wins_its_rounds_and_hardly_any_reputation(
    monkeypatch: pytest.MonkeyPatch, variant: int, rounds: int
) -> None:
    _, plain, _ = played(monkeypatch, variant, rounds, False)
    simulation, helped, friend = played(monkeypatch, variant, rounds, True)
    assert len(plain) == len(helped)
    assert friend.told_in
    more_ppm = sum(one.weight_ppm for one in helped) - sum(one.weight_ppm for one in plain)
    assert 0 < more_ppm <= CAP_PPM * len(friend.told_in)
    # The others' dealers have it no better than before: 0 to .027 in six draws, the honest being .13 away.
    assert helped[-1].reputation_ppm - plain[-1].reputation_ppm < 0.04 * PPM
    others = [one for one in simulation.observer.epochs.newest.table.encoders if one.public_key != friend.key]
    assert helped[-1].reputation_ppm < min(one.reputation_ppm for one in others)


class Swapping(ByzantineValidator):
    """As dealer it asks for other items of its own pool than the schedule picks: those its friend knows."""

    def _deal(self, at: ShardRound) -> None:
        epoch, member = self.epochs.of(at.epoch), self.member
        assert member.chain is not None
        mine = pool_indices(epoch, at)
        other = tuple((index + len(mine)) % len(member.pool) for index in mine)
        preimage = member.chain.preimage(chain_depth(self.genesis, at))
        self.handle(at, ev.Deal(preimage, tuple(map(member.pool_item, other)), ()))


def test_dealer_that_swaps_items__is_disputed_by_all_and_certifies_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(node.sim.run, "ByzantineValidator", Swapping)
    simulation = Simulation(calm(rounds=10, lies=((),)), keep_trace=True)
    outcome = simulation.run()
    assert outcome.violation == ""
    epochs = simulation.observer.epochs
    swapper = simulation.world.validators[0].key
    certified = {dealer_of(epochs.of(at.epoch), at) for at in simulation.observer.certified_by}
    assert swapper not in certified
    assert len(certified) > 1
    disputed = {line.split()[1] for line in outcome.lines if "disputed items" in line}
    assert disputed == {"v1", "v2", "v3"}
