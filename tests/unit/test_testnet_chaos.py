"""Nodes that are killed on purpose: one at a time, and back again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from node.testnet import plan as plans
from node.testnet.chaos import Chaos
from node.testnet.fleet import Fleet
from tests.support.observed_plan import observed_plan


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> plans.TestnetPlan:
    return observed_plan(tmp_path_factory.mktemp("observed"))


@pytest.fixture
def fleet(plan: plans.TestnetPlan) -> Iterator[Fleet]:
    with Fleet(plan.nodes, lambda _: ["sleep", "60"]) as fleet:
        fleet.start_all()
        yield fleet


def test_chaos__kills_one_node_at_a_time_and_starts_it_again(plan: plans.TestnetPlan, fleet: Fleet) -> None:
    now_s = 0.0
    told: list[str] = []
    chaos = Chaos(plan, fleet, 30, seed=5, tell=told.append, clock_s=lambda: now_s)
    first_pids = {node.name: fleet.pid(node.name) for node in plan.nodes}
    away: list[int] = []
    for second in range(151):
        now_s = float(second)
        chaos.tick()
        away.append(sum(fleet.is_down(node.name) for node in plan.nodes))
        assert fleet.fallen() == {}  # killed on purpose is not fallen
    assert chaos.kills == 5
    assert max(away) == 1
    assert away[29:40] == [0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0]
    assert [line.rsplit(" is ", 1)[1] for line in told[:4]] == ["killed", "started again"] * 2
    restarted = [name for name, pid in first_pids.items() if fleet.pid(name) != pid]
    assert restarted
    assert set(restarted) <= {line.split()[1] for line in told}


def test_chaos__hits_the_same_nodes_with_the_same_seed(plan: plans.TestnetPlan, fleet: Fleet) -> None:
    def hit(seed: int) -> list[str]:
        now_s = 0.0
        told: list[str] = []
        chaos = Chaos(plan, fleet, 10, seed=seed, tell=told.append, down_s=1, clock_s=lambda: now_s)
        for step in range(80):
            now_s = float(step)
            chaos.tick()
        return told

    assert hit(1) == hit(1) != hit(2)
