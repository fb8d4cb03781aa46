"""An attacker on every protocol at once: nobody falls, memory stays, it is found out, rounds go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.network import Shape, running_network
from tests.chaos.siege import MIB, Siege

pytestmark = [pytest.mark.chaos, pytest.mark.network, pytest.mark.timeout(400)]

TURN_S = 24.0
GROWTH_BYTES_MAX = 50 * MIB
RATIO_MAX = 3.0
"""So few rounds on a busy machine only show a collapse; `benchmarks/attack.py` measures the ratio."""


def test_attack_on_every_protocol__nobody_falls_and_rounds_are_certified(tmp_path: Path) -> None:
    with running_network(tmp_path, Shape(observers=6)) as network:
        network.until_certified("validator-1", 2, 0)
        pids = {plan.name: network.fleet.pid(plan.name) for plan in network.plan.nodes}
        keys = [plan.directory / "key" for plan in network.observers[1:]]
        siege = Siege(network, tmp_path / "attacker.log")
        siege.turn(TURN_S)
        siege.turn(TURN_S, loud=keys[:2], quiet=keys[4:])
        siege.turn(TURN_S)
        siege.turn(TURN_S, loud=keys[2:4], quiet=keys[4:])
        network.until_certified("validator-1", 1, network.round_now())

        growth = {name: siege.growth_bytes(name) for name in pids}
        print(f"\nattacks: {dict(siege.done)}\npenalties: {dict(siege.penalised())}")
        print(
            f"latency ratio {siege.ratio():.2f}: {siege.latencies_ms(True)} / {siege.latencies_ms(False)} ms"
        )
        print(f"growth in MiB: { {name: round(size / MIB, 1) for name, size in growth.items()} }")
        assert network.fleet.fallen() == {}
        assert pids == {name: network.fleet.pid(name) for name in pids}
        assert {name: size for name, size in growth.items() if size >= GROWTH_BYTES_MAX} == {}
        assert len(siege.latencies_ms(True)) >= siege.dealt(True) - 1 > 0
        assert siege.ratio() < RATIO_MAX
        banned = [network.status(plan.name).counters.get("bans", 0) for plan in network.plan.validators]  # type: ignore[union-attr]
        assert min(banned) > 0, f"some validator banned nobody: {banned}"
        network.assert_nobody_said_two_things()
