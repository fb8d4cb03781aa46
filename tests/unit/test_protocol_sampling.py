"""Sampling: exact, in proportion to stake, without repeats, and the same on every machine."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.hashing import uint
from protocol.sampling import (
    POOL_ITEMS_MAX,
    STAKE_MAX,
    SamplingError,
    StakeTable,
    draw_dealer,
    draw_indices,
    draw_shard,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "sampling.json").read_text())
SEED = bytes(32)
SEEDS = st.binary(min_size=32, max_size=32)
ROUNDS = st.integers(0, 1 << 40)
STAKES = st.dictionaries(st.binary(min_size=1, max_size=3), st.integers(0, STAKE_MAX), max_size=30).filter(
    lambda stakes: any(stakes.values())
)


def test_sampling__matches_the_vectors() -> None:
    stakes = [(bytes.fromhex(key), stake) for key, stake in VECTORS["stakes"]]
    for row in VECTORS["draws"]:
        place = bytes.fromhex(row["seed"]), row["round"], row["shard"]
        assert draw_dealer(*place, stakes).hex() == row["dealer"]
        assert [key.hex() for key in draw_shard(*place, stakes, row["size"])] == row["members"]
    for row in VECTORS["indices"]:
        drawn = draw_indices(
            bytes.fromhex(row["seed"]), bytes.fromhex(row["dealer"]), row["pool"], row["start"], row["count"]
        )
        assert list(drawn) == row["indices"]


@given(seed=SEEDS, round=ROUNDS, shard=ROUNDS, stakes=STAKES, size=st.integers(1, 40), data=st.data())
def test_draw_shard__draws_distinct_staked_members_whatever_the_order_of_stakes(
    seed: bytes, round: int, shard: int, stakes: dict[bytes, int], size: int, data: st.DataObject
) -> None:
    members = draw_shard(seed, round, shard, list(stakes.items()), size)
    staked = {key for key, stake in stakes.items() if stake}
    assert len(members) == len(set(members)) == min(size, len(staked))
    assert set(members) <= staked
    shuffled = data.draw(st.permutations(list(stakes.items())))
    assert draw_shard(seed, round, shard, shuffled, size) == members
    # Draw order: a smaller shard is the beginning of a larger one.
    assert draw_shard(seed, round, shard, shuffled, 1) == members[:1]


@given(places=st.lists(st.tuples(SEEDS, ROUNDS, ROUNDS), max_size=5), stakes=STAKES, size=st.integers(1, 40))
def test_stake_table__draws_what_its_stakes_do_however_often(
    places: list[tuple[bytes, int, int]], stakes: dict[bytes, int], size: int
) -> None:
    table = StakeTable(list(stakes.items()))
    for place in [*places, *places]:
        assert draw_shard(*place, table, size) == draw_shard(*place, list(stakes.items()), size)


@given(seed=SEEDS, round=ROUNDS, shard=ROUNDS, stakes=STAKES)
def test_draw_dealer__is_a_staked_member_whatever_the_order_of_stakes(
    seed: bytes, round: int, shard: int, stakes: dict[bytes, int]
) -> None:
    dealer = draw_dealer(seed, round, shard, list(stakes.items()))
    assert stakes[dealer] > 0
    assert dealer == draw_dealer(seed, round, shard, list(stakes.items())[::-1])


def test_draw_dealer__is_drawn_in_proportion_to_stake_within_5_sigma() -> None:
    stakes = [(b"alice", 1), (b"bob", 5), (b"carol", 0), (b"dave", 14)]
    draws = 4000
    counts = dict.fromkeys((key for key, _ in stakes), 0)
    for round in range(draws):
        counts[draw_dealer(SEED, round, 0, stakes)] += 1
    assert counts[b"carol"] == 0
    for key, stake in stakes:
        p = stake / 20
        assert abs(counts[key] - draws * p) <= 5 * (draws * p * (1 - p)) ** 0.5


def test_draw_shard__gives_every_order_its_probability_within_5_sigma() -> None:
    stakes = {b"a": 1, b"b": 2, b"c": 3, b"d": 6}
    draws = 6000
    counts: dict[tuple[bytes, ...], int] = {}
    for round in range(draws):
        members = draw_shard(SEED, round, 1, list(stakes.items()), 2)
        counts[members] = counts.get(members, 0) + 1
    for first, second in permutations(stakes, 2):
        p = float(Fraction(stakes[first], 12) * Fraction(stakes[second], 12 - stakes[first]))
        assert abs(counts[first, second] - draws * p) < 5 * (draws * p * (1 - p)) ** 0.5


def test_draw_shard__varies_by_seed_round_and_shard() -> None:
    stakes = [(uint(i), 1) for i in range(200)]
    draws = {
        draw_shard(SEED, 1, 1, stakes, 8),
        draw_shard(SEED, 2, 1, stakes, 8),
        draw_shard(SEED, 1, 2, stakes, 8),
        draw_shard(bytes([1]) * 32, 1, 1, stakes, 8),
    }
    assert len(draws) == 4


@pytest.mark.parametrize(
    ("stakes", "message"),
    [
        ([], "nobody has stake"),
        ([(b"a", 0)], "nobody has stake"),
        ([(b"a", 1), (b"a", 2)], "appears twice"),
        ([(b"a", -1)], "stake -1"),
        ([(b"a", STAKE_MAX + 1)], "stakes are 0 to"),
    ],
)
def test_draw__refuses_stakes_that_cannot_be(stakes: list[tuple[bytes, int]], message: str) -> None:
    with pytest.raises(SamplingError, match=message):
        draw_dealer(SEED, 0, 0, stakes)
    with pytest.raises(SamplingError, match=message):
        draw_shard(SEED, 0, 0, stakes, 1)


def test_draw_shard__refuses_an_empty_shard() -> None:
    with pytest.raises(SamplingError, match="at least one encoder"):
        draw_shard(SEED, 0, 0, [(b"a", 1)], 0)


@given(seed=SEEDS, dealer=SEEDS, pool_size=st.integers(0, 90), start=st.integers(0, 99), data=st.data())
def test_draw_indices__slices_one_permutation(
    seed: bytes, dealer: bytes, pool_size: int, start: int, data: st.DataObject
) -> None:
    count = data.draw(st.integers(0, 99))
    whole = draw_indices(seed, dealer, pool_size, 0, pool_size)
    assert sorted(whole) == list(range(pool_size))
    assert draw_indices(seed, dealer, pool_size, start, count) == whole[start : start + count]


def test_draw_indices__draws_every_order_of_four_within_5_sigma() -> None:
    draws = 24 * 250
    counts: dict[tuple[int, ...], int] = {}
    for i in range(draws):
        order = draw_indices(SEED, uint(i), 4, 0, 4)
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 24
    assert all(abs(count - 250) < 5 * (250 * 23 / 24) ** 0.5 for count in counts.values())


def test_draw_indices__reaches_deep_into_a_huge_pool_without_building_it() -> None:
    drawn = draw_indices(SEED, b"dealer", POOL_ITEMS_MAX, 500, 256)
    assert len(set(drawn)) == 256
    assert max(drawn) > POOL_ITEMS_MAX // 2


@pytest.mark.parametrize(
    ("pool_size", "start", "count"), [(-1, 0, 1), (POOL_ITEMS_MAX + 1, 0, 1), (5, -1, 1), (5, 0, -1)]
)
def test_draw_indices__refuses_numbers_out_of_range(pool_size: int, start: int, count: int) -> None:
    with pytest.raises(SamplingError, match=r"a pool has|may be negative"):
        draw_indices(SEED, b"dealer", pool_size, start, count)
