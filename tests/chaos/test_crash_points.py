"""A crash at every point between deciding, writing down, signing and sending; a supervisor restarts."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from node.signer import Boundary
from node.store import RoundState
from node.testnet.fleet import command_line
from node.testnet.plan import NodePlan
from protocol.epochs.record import first_seed
from protocol.epochs.view import Epoch
from protocol.genesis import Genesis
from protocol.sampling import draw_dealer
from tests.chaos.crashing_node import crashing_command, died_at
from tests.chaos.network import Network, Shape, running_network

pytestmark = [pytest.mark.chaos, pytest.mark.network, pytest.mark.timeout(700)]

TIMES_EACH = int(os.environ.get("CHAOS_TIMES_EACH", "1"))
"""At how many of its times in one life each boundary is to kill. More takes longer and finds more."""
LIMIT_S = 240.0 + 240.0 * TIMES_EACH
"""A dozen lives in turn: each took 35 s on two cores that twenty others wanted."""

STEADY = ("validator-1", "validator-2", "validator-3", "encoder-1", "encoder-2", "encoder-3")
CRASHING = ("validator-4", "validator-5", "encoder-4", "encoder-5")
# The steady three hold 300 of 446: a quorum by themselves.
STAKE_OF_STEADY, STAKE_OF_CRASHING = 100, 73
EPOCH_ROUNDS = 16
DEALT_SHARE_MIN = 0.55
"""Of the first rounds, by those that crash: what only a dealer does they come to no other way, and by their
stake they deal every third round. To wait for a draw took as long as all restarts."""


def crashing_deal_often(genesis: Genesis) -> bool:
    """Whether the draws of the two epochs that follow from genesis alone bring the crashing to deal."""
    stakes = Epoch.first(genesis).validator_stakes
    crashing = {key for key, stake in stakes if stake == STAKE_OF_CRASHING}
    dealers = [
        draw_dealer(first_seed(genesis.network_id, round_ // EPOCH_ROUNDS), round_, 0, stakes)
        for round_ in range(2 * EPOCH_ROUNDS)
    ]
    return sum(dealer in crashing for dealer in dealers) >= DEALT_SHARE_MIN * len(dealers)


SHAPE = Shape(
    stakes=(STAKE_OF_STEADY,) * 3 + (STAKE_OF_CRASHING,) * 2,
    encoders=5,
    slot_ms=6_000,
    changes={"epoch_rounds": EPOCH_ROUNDS},
    suits=crashing_deal_often,
)

_SIGNER = {f"signer {boundary.value}" for boundary in Boundary}
_EFFECTS = {
    "validator": ("Persist", "Broadcast", "Provide", "Fetch", "SetTimer", "Score", "Recompute", "Publish"),
    "encoder": ("Send", "Provide", "Fetch", "Encode", "Publish"),
}
WANTED = {
    role: _SIGNER | {f"{when} {effect}" for effect in effects for when in ("before", "after")}
    for role, effects in _EFFECTS.items()
}


def test_crash_at_every_boundary__no_key_says_two_things_and_rounds_go_on(tmp_path: Path) -> None:
    deaths = {role: tmp_path / f"{role}-deaths" for role in WANTED}
    for directory in deaths.values():
        directory.mkdir()

    def command(plan: NodePlan) -> list[str]:
        if plan.name in STEADY:
            return command_line(plan)
        # With each life its API would take two seconds of a core, which nobody asks here.
        quiet = plan if plan.api is None else replace(plan, api="off")
        return crashing_command(quiet, deaths[plan.role], TIMES_EACH)

    with running_network(tmp_path, SHAPE, command, wait_for=STEADY) as network:
        started_s = time.monotonic()
        lives = _supervise(network, deaths)
        # The last lives are lived to the end: everyone is there again, with all that was certified.
        last = network.round_now()
        held = network.until_certified(STEADY[0], 2, last)

        def holds(name: str) -> bool:
            _restart_fallen(network, lives)  # some have a second time of dying before them
            return set(held) <= set(network.certified(name))

        for name in ("validator-4", "validator-5"):
            network.until(partial(holds, name), 90, f"{name} holds rounds {held}")
        network.assert_nobody_said_two_things()
        states = _rounds_dealt_by_steady(network, last)
        print(
            f"\n{sum(lives.values())} crashes in {time.monotonic() - started_s:.0f} s: {dict(lives)}; "
            f"rounds dealt by steady validators: {dict(states)}"
        )
        assert states[RoundState.CERTIFIED] > 0
        assert states[RoundState.CERTIFIED] >= 3 * states[RoundState.VOID]


def _supervise(network: Network, deaths: dict[str, Path]) -> Counter[str]:
    """Restart what crashes until every boundary has killed somebody; how often each node was restarted."""
    lives: Counter[str] = Counter()
    deadline_s = time.monotonic() + LIMIT_S
    while missing := _missing(deaths):
        _restart_fallen(network, lives)
        assert time.monotonic() < deadline_s, f"nobody died at {missing}\n{network.picture()}"
        time.sleep(0.1)
    return lives


def _restart_fallen(network: Network, lives: Counter[str]) -> None:
    for name, status in network.fleet.fallen().items():
        assert name in CRASHING, f"{name} fell, with status {status}\n{network.picture()}"
        assert status == -signal.SIGKILL, network.fleet.last_words(name)
        lives[name] += 1
        network.fleet.start(name)


def _missing(deaths: dict[str, Path]) -> dict[str, set[str]]:
    missing = {role: WANTED[role] - died_at(directory).keys() for role, directory in deaths.items()}
    return {role: names for role, names in missing.items() if names}


def _rounds_dealt_by_steady(network: Network, before_round: int) -> Counter[RoundState]:
    steady = {network.node(name).public_key for name in STEADY}
    views = [network.view(round_) for round_ in range(before_round)]
    return Counter(view.state for view in views if view.dealt and view.dealer in steady)
