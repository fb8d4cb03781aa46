"""kill -9 in the middle of a round: the others go on, and the killed come back and catch up."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import pytest

from tests.chaos.network import Network, Shape, running_network

pytestmark = [pytest.mark.chaos, pytest.mark.network, pytest.mark.timeout(300)]

BACK_WITHIN_S = 20.0
"""The requirement, on a quiet machine of two cores; a busy one gets SLACK times as long."""
SLACK = 3.0


def test_kill_9_mid_round__rounds_go_on_and_the_killed_rejoin_and_catch_up(tmp_path: Path) -> None:
    with running_network(tmp_path, Shape()) as network:
        names = [plan.name for plan in network.plan.validators]
        victim, others = names[0], names[1:]
        network.until_certified(others[0], 1, 0)
        struck = network.until_mid_round(others).round
        for name in (victim, "encoder-1"):
            network.fleet.kill(name)

        # The round itself, and others after it, without the killed.
        missed = network.until_certified(others[0], 3, struck)
        assert struck in missed
        assert network.certified(victim, missed[-1]) == {}

        back_from = network.round_now() + 1
        started_s = time.monotonic()
        for name in (victim, "encoder-1"):
            network.fleet.start(name)
        everyone = len(network.plan.validators) - 1
        for name in (victim, "encoder-1"):
            network.until(
                partial(_has_met, network, name, everyone), 60, f"{name} is connected to the validators"
            )
        connected_s = time.monotonic() - started_s
        network.until(lambda: _encoder_answered(network, back_from), 60, "encoder-1 commits")
        network.until(lambda: _attested(network, victim, back_from), 60, f"{victim} attests")
        took_part_s = time.monotonic() - started_s
        network.until(lambda: set(missed) <= set(network.certified(victim)), 30, f"{victim} holds {missed}")
        caught_up_s = time.monotonic() - started_s
        print(
            f"\nrestarted nodes: connected after {connected_s:.1f} s, took part after {took_part_s:.1f} s, "
            f"caught up on rounds {missed} after {caught_up_s:.1f} s"
        )
        assert connected_s < BACK_WITHIN_S * SLACK
        assert took_part_s < BACK_WITHIN_S * SLACK + network.plan.genesis.parameters.slot_ms / 1000
        network.assert_nobody_said_two_things()


def _has_met(network: Network, name: str, validators: int) -> bool:
    status = network.status(name)
    return status is not None and sum(peer.role == "validator" for peer in status.peers) >= validators


def _rounds_since(network: Network, first: int) -> range:
    return range(first, network.round_now() + 1)


def _encoder_answered(network: Network, from_round: int) -> bool:
    key = network.node("encoder-1").public_key
    return any(
        key in network.view(round_).committed.get(1, ()) for round_ in _rounds_since(network, from_round)
    )


def _attested(network: Network, name: str, from_round: int) -> bool:
    return any(
        step.step == "attested"
        for round_ in _rounds_since(network, from_round)
        for step in network.steps(name, round_)
    )
