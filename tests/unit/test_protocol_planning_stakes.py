"""Planning by stake: tilted draws against exact arithmetic, and stakes that no shard makes safe."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.planning import (
    STAKE_MAX,
    Budget,
    Estimate,
    Holdings,
    InfeasibleError,
    PlanError,
    Population,
    ShardOdds,
    Trials,
    estimate,
    plan_by_stake,
    plan_shard,
)

BUDGET = Budget(Fraction(1, 10**9), Fraction(1, 100))
MILD = Budget(Fraction(1, 10**4), Fraction(1, 20))
FIFTH = Fraction(1, 5)
STAKES = st.lists(st.integers(1, STAKE_MAX), min_size=2, max_size=40)


def near(one: Estimate, exact: Fraction, sigmas: float = 4.5) -> bool:
    return abs(one.chance - float(exact)) <= sigmas * max(one.error, 1e-15)


@pytest.mark.parametrize(
    ("nodes", "bad", "offline", "size"), [(1_000, 200, 0, 70), (300, 100, 0, 90), (200, 40, 20, 30)]
)
def test_takeover__of_equal_stakes_is_the_exact_one_within_its_error(
    nodes: int, bad: int, offline: int, size: int
) -> None:
    held = Holdings([7] * nodes, Fraction(bad, nodes), Fraction(offline, nodes))
    assert (held.bad, held.offline_nodes_max) == (bad, offline)
    odds = ShardOdds(Population(nodes, bad, offline))
    estimates = Trials(held, 400, seed=3).takeover(size - 4, size)
    for place, one in enumerate(estimates):
        exact = odds.takeover(size - 4 + place)
        assert near(one, exact), size - 4 + place
        assert one.error < float(exact), "draws without the tilt would show nothing at all"


def test_answers__of_equal_stakes_stall_as_exact_arithmetic_says() -> None:
    held = Holdings([7] * 200, FIFTH, Fraction(1, 10))
    trials, odds = Trials(held, 600, seed=5), ShardOdds(Population(200, 40, 20))
    for size, counts in enumerate(trials.answers(40), 1):
        assert sum(counts) == trials.draws
        quorum = size * 2 // 3
        seen = trials.proportion(sum(counts[:quorum]))
        exact = odds.stall(size, quorum)
        assert abs(seen.chance - float(exact)) <= 4.5 * (float(exact * (1 - exact)) / trials.draws) ** 0.5


def test_takeover__of_unequal_stakes_is_that_of_plain_draws() -> None:
    held = Holdings([1 + i * i for i in range(60)], Fraction(2, 5), Fraction(1, 10))
    trials = Trials(held, 1_500, seed=1)
    tilted = trials.takeover(9, 9)[0]
    # The factor is one where nothing has to be tilted: the same shards, drawn plainly.
    plain = Trials(held, 1_500, seed=2)
    held.tilt = lambda size: 1.0  # type: ignore[method-assign]
    seen = plain.takeover(9, 9)[0]
    assert 0.01 < seen.chance < 0.9
    assert abs(tilted.chance - seen.chance) <= 4.5 * (tilted.error**2 + seen.error**2) ** 0.5


@given(stakes=STAKES, byzantine=st.fractions(0, Fraction(1, 2)), offline=st.fractions(0, Fraction(1, 2)))
def test_holdings__give_the_bad_the_most_nodes_their_stake_can_hold(
    stakes: list[int], byzantine: Fraction, offline: Fraction
) -> None:
    held = Holdings(stakes, byzantine, offline)
    assert sum(held.stakes[: held.bad]) <= byzantine * held.total
    assert held.bad == held.nodes or sum(held.stakes[: held.bad + 1]) > byzantine * held.total
    assert held.bad + held.offline_nodes_max <= held.nodes


@given(stakes=STAKES, size=st.integers(1, 40))
@settings(max_examples=30)
def test_bad_seats__are_a_share_and_a_tilt_never_lowers_them(stakes: list[int], size: int) -> None:
    held = Holdings(stakes, Fraction(1, 3), Fraction(0))
    assert 0 <= held.bad_seats(size) <= 1
    assert 1 <= held.tilt(size) <= 64


def test_bad_seats__are_those_of_the_draws_in_the_mean() -> None:
    held = Holdings([1 + i % 17 * (i % 5) for i in range(120)], Fraction(1, 4), Fraction(0))
    counts = Trials(held, 400, seed=8).answers(30)[-1]
    honest = sum(answers * count for answers, count in enumerate(counts)) / 400
    assert held.bad_seats(30) * 30 == pytest.approx(30 - honest, abs=0.5)


def test_plan_by_stake__of_equal_stakes_is_near_the_exact_plan() -> None:
    trials = Trials(Holdings([5] * 300, FIFTH, Fraction(0)), 400, seed=0)
    plan, exact = plan_by_stake(trials, MILD), plan_shard(Population(300, 60, 0), MILD)
    assert abs(plan.size - exact.size) <= 4
    assert abs(plan.quorum - exact.quorum) <= 4
    assert plan.takeover.upper < MILD.security
    assert plan.stall.upper < MILD.liveness


def test_plan_by_stake__keeps_the_budgets_with_its_bounds_whatever_the_seed() -> None:
    held = Holdings([10 + i % 7 for i in range(60)], FIFTH, Fraction(0))
    for seed in range(5):
        plan = plan_by_stake(Trials(held, 200, seed), Budget(Fraction(1, 100), Fraction(1, 10)))
        assert plan.takeover.chance <= plan.takeover.upper < 0.01
        assert plan.stall.chance < plan.stall.upper < 0.1
        assert 2 * plan.quorum > plan.size


def test_plan_by_stake__is_the_same_for_the_same_seed_and_not_for_another() -> None:
    held = Holdings([10 + i % 7 for i in range(80)], FIFTH, Fraction(0))
    plans = [plan_by_stake(Trials(held, 300, seed), MILD) for seed in (1, 1, 2)]
    assert plans[0] == plans[1]
    assert plans[0].takeover != plans[2].takeover


def test_plan_by_stake__of_uneven_stakes_needs_a_larger_shard_than_equal_ones() -> None:
    held = Holdings([1 + i * i for i in range(200)], FIFTH, Fraction(0))
    assert held.bad > 40, "small nodes: more of them for the same stake"
    plan = plan_by_stake(Trials(held, 400, 0), MILD)
    assert plan.size > plan_shard(Population(200, 40, 0), MILD).size


def test_stakes_in_one_node__are_told_as_unsafe() -> None:
    held = Holdings([1] * 99 + [900], FIFTH, Fraction(0))
    assert held.largest_share > Fraction(9, 10) - Fraction(1, 1000)
    with pytest.raises(
        InfeasibleError, match=r"99 nodes, which take 9\d% .* richest node holds 90%"
    ) as error:
        plan_by_stake(Trials(held, 200, 0), MILD)
    assert error.value.budget == "security"


def test_plan_by_stake__that_cannot_be_live_says_so() -> None:
    held = Holdings([10 + i % 7 for i in range(60)], Fraction(1, 10), Fraction(3, 10))
    with pytest.raises(InfeasibleError, match="liveness budget") as error:
        plan_by_stake(Trials(held, 300, 0), Budget(Fraction(1, 20), Fraction(1, 20)), Fraction(9, 10))
    assert error.value.budget == "liveness"


def test_takeover__that_cannot_happen_is_zero_without_doubt() -> None:
    assert (
        Trials(Holdings([1, 2, 3, 4], Fraction(0), Fraction(0)), 100, 0).takeover(1, 4)
        == [Estimate(0.0, 0.0, 0.0)] * 4
    )
    two_of_nine = Holdings([5, 5, *range(10, 17)], Fraction(1, 10), Fraction(0))
    assert Trials(two_of_nine, 100, 0).takeover(4, 4) == [Estimate(0.0, 0.0, 0.0)]


def test_takeover__seen_too_rarely_is_bounded_by_one() -> None:
    held = Holdings([5] * 40, FIFTH, Fraction(0))
    assert Trials(held, 100, 0).takeover(1, 14)[-1].upper < 1
    held.tilt = lambda size: 1.0  # type: ignore[method-assign]
    assert Trials(held, 100, 0).takeover(14, 14)[0].upper == 1


def test_planning_by_stake__refuses_what_means_nothing() -> None:
    held = Holdings([1, 2, 3], Fraction(0), Fraction(0))
    for stakes in ([], [0], [STAKE_MAX + 1]):
        with pytest.raises(PlanError, match="stake"):
            Holdings(stakes, Fraction(0), Fraction(0))
    with pytest.raises(PlanError, match="exceed all stake"):
        Holdings([1], Fraction(2, 3), Fraction(2, 3))
    with pytest.raises(PlanError, match="draws are not within"):
        Trials(held, 1, 0)
    with pytest.raises(PlanError, match="seed"):
        Trials(held, 100, -1)
    with pytest.raises(PlanError, match="raise --draws"):
        plan_by_stake(Trials(held, 100, 0), BUDGET)
    with pytest.raises(PlanError, match="no shard of 4"):
        estimate(Trials(held, 100, 0), 4, 1)
