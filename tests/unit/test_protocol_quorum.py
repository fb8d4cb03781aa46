"""Quorum: two thirds of stake in integers, each key once."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.quorum import QuorumError, Tally, has_quorum, quorum_stake

STAKES = st.dictionaries(st.binary(min_size=1, max_size=2), st.integers(0, 1 << 63), min_size=1, max_size=9)


@given(total=st.integers(1, 1 << 70), attesting=st.integers(0, 1 << 70))
def test_has_quorum__is_two_thirds_as_a_fraction_says(total: int, attesting: int) -> None:
    assert has_quorum(attesting, total) == (Fraction(attesting, total) >= Fraction(2, 3))


@given(total=st.integers(1, 1 << 70))
def test_quorum_stake__is_the_least_that_has_quorum(total: int) -> None:
    assert has_quorum(quorum_stake(total), total)
    assert not has_quorum(quorum_stake(total) - 1, total)


@given(total=st.integers(1, 1 << 70))
def test_quorum_stake__makes_two_quorums_share_a_third(total: int) -> None:
    assert 3 * (2 * quorum_stake(total) - total) >= total


@pytest.mark.parametrize(("total", "least"), [(1, 1), (2, 2), (3, 2), (4, 3), (6, 4), (7, 5), (100, 67)])
def test_quorum_stake__rounds_up(total: int, least: int) -> None:
    assert quorum_stake(total) == least


def test_has_quorum__is_false_of_no_stake_at_all() -> None:
    assert not has_quorum(0, 0)
    assert not Tally({b"a": 0}).add(b"a").has_quorum
    with pytest.raises(QuorumError, match="total stake of 0"):
        quorum_stake(0)


@given(stakes=STAKES, data=st.data())
def test_tally__counts_each_key_once_in_any_order(stakes: dict[bytes, int], data: st.DataObject) -> None:
    spoken = data.draw(st.lists(st.sampled_from(sorted(stakes)), max_size=12))
    tally = Tally(stakes)
    for key in spoken:
        tally = tally.add(key)
    assert tally.keys == set(spoken)
    assert tally.stake == sum(stakes[key] for key in set(spoken))
    assert tally.total_stake == sum(stakes.values())
    assert tally.has_quorum == has_quorum(tally.stake, tally.total_stake)
    backwards = Tally(stakes)
    for key in reversed(spoken):
        backwards = backwards.add(key)
    assert backwards == tally


def test_add__leaves_the_old_tally_as_it_was() -> None:
    before = Tally({b"a": 1, b"b": 2})
    after = before.add(b"b")
    assert (before.stake, after.stake) == (0, 2)
    assert after.add(b"b") is after
    with pytest.raises(FrozenInstanceError):
        after.stake = 3  # type: ignore[misc]


def test_tally__does_not_follow_later_changes_of_the_stakes_given() -> None:
    stakes = {b"a": 1, b"b": 2}
    tally = Tally(stakes)
    stakes[b"a"] = 100
    assert tally.total_stake == 3
    with pytest.raises(TypeError):
        tally.stakes[b"a"] = 100  # type: ignore[index]


def test_tally__refuses_strangers_and_negative_stake() -> None:
    with pytest.raises(QuorumError, match="not a member"):
        Tally({b"a": 1}).add(b"z")
    with pytest.raises(QuorumError, match="negative stake"):
        Tally({b"a": -1})
