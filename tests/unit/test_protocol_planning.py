"""Planning a shard: exact chances against enumeration, the design's figures, and what no plan can keep."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.presets import PRESETS
from protocol.genesis import SHARD_SIZE_MAX
from protocol.planning import (
    NODES_MAX,
    Budget,
    InfeasibleError,
    PlanError,
    Population,
    ShardOdds,
    evaluate,
    plan_shard,
    quorum_of_share,
)

BUDGET = Budget(Fraction(1, 10**9), Fraction(1, 100))
THIRD, FIFTH = Fraction(1, 3), Fraction(1, 5)


@st.composite
def populations(draw: st.DrawFn, nodes_max: int = 7) -> Population:
    nodes = draw(st.integers(1, nodes_max))
    bad = draw(st.integers(0, nodes))
    return Population(nodes, bad, draw(st.integers(0, nodes - bad)))


def enumerated(population: Population, size: int) -> list[list[int]]:
    """Of every shard there is, how many bad, offline and honest members it has."""
    kinds = "b" * population.bad + "f" * population.offline + "h" * population.honest
    return [[shard.count(kind) for kind in "bfh"] for shard in combinations(kinds, size)]


def share(events: Iterable[bool]) -> Fraction:
    seen = list(events)
    return Fraction(sum(seen), len(seen))


@given(population=populations(), data=st.data())
def test_chances__are_those_of_counting_every_shard(population: Population, data: st.DataObject) -> None:
    odds = ShardOdds(population)
    for size in data.draw(st.permutations(range(1, population.nodes + 1))):
        quorum = data.draw(st.integers(0, size))
        counted = enumerated(population, size)
        assert odds.takeover(size) == share(b > h for b, _, h in counted)
        assert odds.takeover_or_tie(size) == share(b >= h for b, _, h in counted)
        assert odds.stall(size, quorum) == share(h < quorum for _, _, h in counted)
        assert odds.censored(size, quorum) == share(2 * b > quorum for b, _, _ in counted)


@given(population=populations(), data=st.data(), limit=st.fractions(0, 1))
def test_takeover_under__agrees_with_the_chance_it_avoids(
    population: Population, data: st.DataObject, limit: Fraction
) -> None:
    size = data.draw(st.integers(1, population.nodes))
    odds = ShardOdds(population)
    for bar in (limit, odds.takeover(size)):
        assert odds.takeover_under(size, bar) == (odds.takeover(size) < bar)


@given(population=populations(), data=st.data(), stall=st.fractions(Fraction(1, 1000), Fraction(999, 1000)))
def test_quorum__is_the_largest_that_is_live_enough(
    population: Population, data: st.DataObject, stall: Fraction
) -> None:
    size = data.draw(st.integers(1, population.nodes))
    odds = ShardOdds(population)
    for limit in {stall, *(odds.stall(size, quorum) for quorum in range(size + 1))} - {0}:
        quorum = odds.quorum(size, limit)
        assert odds.stall(size, quorum) < limit
        assert quorum == size or odds.stall(size, quorum + 1) >= limit
        assert odds.stall_under(size, quorum, limit)
        assert quorum == size or not odds.stall_under(size, quorum + 1, limit)


@given(
    nodes=st.integers(20, 400),
    bad=st.integers(0, 399),
    offline=st.integers(0, 399),
    size=st.integers(1, 80),
)
@settings(max_examples=60)
def test_chances__grow_with_bad_and_with_offline_nodes(nodes: int, bad: int, offline: int, size: int) -> None:
    bad %= nodes
    offline %= nodes - bad
    size = min(size, nodes)
    less, worse, away = (
        ShardOdds(Population(nodes, bad, offline)),
        ShardOdds(Population(nodes, bad + 1, offline)),
        ShardOdds(Population(nodes, bad, offline + 1)),
    )
    quorum = size // 2 + 1
    assert less.takeover(size) <= worse.takeover(size)
    assert less.takeover_or_tie(size) <= min(worse.takeover_or_tie(size), away.takeover_or_tie(size))
    assert less.stall(size, quorum) <= min(worse.stall(size, quorum), away.stall(size, quorum))
    assert less.censored(size, quorum) <= worse.censored(size, quorum)


@given(nodes=st.integers(10, 300), bad=st.integers(0, 300), size=st.integers(1, 78))
@settings(max_examples=60)
def test_takeover__of_an_a_third_or_fewer_falls_within_one_parity_and_odd_sizes_are_worse(
    nodes: int, bad: int, size: int
) -> None:
    bad %= nodes // 3 + 1  # beyond a third the smallest even shards are the safest
    odds = ShardOdds(Population(nodes, bad, 0))
    size = min(size, nodes - 2)
    assert odds.takeover(size + 2) <= odds.takeover(size)
    if size % 2 == 0:
        assert odds.takeover(size + 1) >= odds.takeover(size), "one more seat and the same bar"


@pytest.mark.parametrize(
    ("byzantine", "nodes", "size"),
    [
        (FIFTH, 100, 38),
        (FIFTH, 1_000, 70),
        (FIFTH, 5_000, 76),
        (THIRD, 100, 66),
        (THIRD, 1_000, 226),
        (THIRD, 5_000, 282),
    ],
)
def test_plan__has_the_sizes_known_for_a_fifth_and_a_third(
    byzantine: Fraction, nodes: int, size: int
) -> None:
    plan = plan_shard(Population.of_shares(nodes, byzantine, Fraction(0)), BUDGET)
    assert plan.size == size
    assert 2 * plan.quorum > plan.size
    assert plan.takeover < BUDGET.security
    assert plan.stall < BUDGET.liveness


def test_takeover__of_the_next_odd_size_is_over_the_budget_again() -> None:
    odds = ShardOdds(Population(1_000, 200, 0))
    assert [odds.takeover_under(size, BUDGET.security) for size in (69, 70, 71, 72)] == [
        False,
        True,
        False,
        True,
    ]


def test_stall__of_a_90_percent_and_of_a_two_thirds_quorum_is_as_known() -> None:
    nine = ShardOdds(Population(1_000, 0, 100)).stall(60, quorum_of_share(60, Fraction(9, 10)))
    two = ShardOdds(Population(1_000, 0, 200)).stall(60, quorum_of_share(60, Fraction(2, 3)))
    assert float(nine) == pytest.approx(0.39, abs=0.005)
    assert float(two) == pytest.approx(0.004, abs=0.0005)


@given(byzantine=st.fractions(0, Fraction(2, 5)), offline=st.fractions(0, FIFTH), nodes=st.integers(1, 120))
@settings(max_examples=40, deadline=None)
def test_plan__is_the_first_size_that_keeps_both_budgets(
    byzantine: Fraction, offline: Fraction, nodes: int
) -> None:
    population = Population.of_shares(nodes, byzantine, offline)
    odds = ShardOdds(population)
    kept = [
        size
        for size in range(1, nodes + 1)
        if odds.takeover(size) < BUDGET.security and odds.stall(size, size // 2 + 1) < BUDGET.liveness
    ]
    if kept:
        plan = plan_shard(population, BUDGET)
        assert plan.size == kept[0]
        assert plan == evaluate(odds, plan.size, plan.quorum)
    else:
        with pytest.raises(InfeasibleError):
            plan_shard(population, BUDGET)


def test_plan__with_nodes_offline_needs_a_larger_shard() -> None:
    sizes = [plan_shard(Population(1_000, 200, offline), BUDGET).size for offline in (0, 100, 200)]
    assert sizes == [70, 95, 133]


def test_plan__says_which_budget_fails_and_each_way_out_is_one() -> None:
    with pytest.raises(
        InfeasibleError, match=r"keeps the security budget .*--byzantine (\d+)/3000"
    ) as unsafe:
        plan_shard(Population(3_000, 1_350, 0), BUDGET)
    assert unsafe.value.budget == "security"
    bad = int(str(unsafe.value).split("--byzantine ")[1].split("/")[0])
    assert plan_shard(Population(3_000, bad, 0), BUDGET).size <= SHARD_SIZE_MAX
    with pytest.raises(InfeasibleError):
        plan_shard(Population(3_000, bad + 1, 0), BUDGET)
    with pytest.raises(InfeasibleError, match="keeps the liveness budget") as stalled:
        plan_shard(Population(5_000, 0, 1_000), BUDGET, Fraction(9, 10))
    assert stalled.value.budget == "liveness"
    offline = int(str(stalled.value).split("--offline ")[1].split("/")[0])
    assert plan_shard(Population(5_000, 0, offline), BUDGET, Fraction(9, 10)).quorum > 0


def test_plan__for_too_many_nodes_names_how_many_would_do() -> None:
    with pytest.raises(InfeasibleError, match=r"--nodes \d+$") as error:
        plan_shard(Population(600, 270, 0), BUDGET, size_max=64)
    nodes = int(str(error.value).split("--nodes ")[1])
    assert plan_shard(Population(nodes, 270 * nodes // 600, 0), BUDGET, size_max=64).size <= 64


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Population(0, 0, 0), "give 1 to"),
        (lambda: Population(NODES_MAX + 1, 0, 0), "give 1 to"),
        (lambda: Population(10, 6, 5), "do not fit 10"),
        (lambda: Population(10, -1, 0), "do not fit 10"),
        (lambda: Population.of_shares(10, Fraction(3, 2), Fraction(0)), "byzantine share"),
        (lambda: Budget(Fraction(0), Fraction(1, 2)), "security budget"),
        (lambda: Budget(Fraction(1, 2), Fraction(1)), "liveness budget"),
        (lambda: ShardOdds(Population(5, 1, 0)).takeover(6), "cannot be drawn from 5"),
        (lambda: ShardOdds(Population(5, 1, 0)).stall(4, 5), "no part of a shard of 4"),
        (lambda: plan_shard(Population(5, 1, 0), BUDGET, Fraction(0)), "a quorum of 0"),
    ],
)
def test_planning__refuses_numbers_that_mean_nothing(wrong: Callable[[], object], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        wrong()


def test_testnet_preset__keeps_the_risk_it_claims() -> None:
    size = PRESETS["testnet"].parameters.shard_size
    assert size == plan_shard(Population.of_shares(1_000, FIFTH, Fraction(0)), BUDGET).size
