"""Whom an encoder connects to: how many, which, and whom it meets."""

from __future__ import annotations

from collections import Counter
from statistics import mean

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.epochs.view import Epoch
from protocol.hashing import digest
from protocol.neighbours import (
    MEETING_SLOTS,
    STANDING_MIN,
    STANDING_SHARE,
    counterparts,
    fetchers,
    meetings,
    standing_count,
    standing_order,
)
from protocol.rounds.attester import EXPIRY_SLOTS
from protocol.schedule import dealer_of, shard_of, shard_round, witnesses_of
from tests.support.genesis import small_network

counts = st.integers(0, 20_000)
GENESIS, VALIDATORS, ENCODERS = small_network(validators=7, encoders=9, shard_size=4)
EPOCH = Epoch.first(GENESIS)
keys = st.binary(min_size=32, max_size=32)


@given(st.integers(1, 4096), counts, counts)
def test_standing_count__is_bounded_by_wish_validators_and_share(
    wanted: int, validators: int, encoders: int
) -> None:
    count = standing_count(wanted, validators, encoders)
    assert 0 <= count <= min(wanted, validators)
    if count > STANDING_MIN:
        assert count * encoders <= STANDING_SHARE * validators
    if wanted * encoders <= STANDING_SHARE * validators:
        assert count == min(wanted, validators)
    assert count >= min(wanted, validators, STANDING_MIN)


@given(st.integers(1, 4096), st.integers(1, 4096), counts, counts)
def test_standing_count__never_rises_with_encoders(wanted: int, validators: int, few: int, more: int) -> None:
    assert standing_count(wanted, validators, few + more) <= standing_count(wanted, validators, few)


@given(keys)
def test_standing_order__has_every_validator_once(member: bytes) -> None:
    order = standing_order(EPOCH, member)
    assert sorted(order) == sorted(EPOCH.validators)
    assert order == standing_order(EPOCH, member)


@given(keys, st.data())
def test_standing_order__without_a_validator_keeps_the_others_in_place(
    member: bytes, data: st.DataObject
) -> None:
    gone = data.draw(st.sampled_from(sorted(EPOCH.validators)))
    states = tuple(
        msgspec.structs.replace(state, stake=0) if state.public_key == gone else state
        for state in EPOCH.record.validators
    )
    without = Epoch(GENESIS, msgspec.structs.replace(EPOCH.record, validators=states), EPOCH.table)
    assert standing_order(without, member) == tuple(k for k in standing_order(EPOCH, member) if k != gone)


def test_standing_order__spreads_members_evenly_and_changes_with_the_seed() -> None:
    members = [digest("member", index.to_bytes(4, "big")) for index in range(2_000)]
    orders = [standing_order(EPOCH, member) for member in members]
    chosen = Counter(key for order in orders for key in order[:2])
    expected = 2 * len(members) / len(EPOCH.validators)
    assert all(abs(count - expected) < 0.2 * expected for count in chosen.values()), chosen
    assert len({order for order in orders}) > 0.3 * len(members)
    record = msgspec.structs.replace(EPOCH.record, seed=digest("another"))
    later = Epoch(GENESIS, record, EPOCH.table)
    moved = mean(standing_order(later, m)[:2] != order[:2] for m, order in zip(members, orders, strict=True))
    assert moved > 0.9


@pytest.mark.parametrize("round_", range(4))
def test_counterparts__are_dealer_and_witnesses_of_those_in_the_shard(round_: int) -> None:
    at = shard_round(GENESIS, round_, 0)
    for member in ENCODERS:
        found = counterparts(EPOCH, at, member.key)
        if member.key in shard_of(EPOCH, at):
            assert found == {dealer_of(EPOCH, at), *witnesses_of(EPOCH, at, member.key)}
        else:
            assert found == frozenset()


@pytest.mark.parametrize("round_", range(4))
def test_fetchers__are_all_validators_for_those_in_the_shard(
    round_: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = shard_round(GENESIS, round_, 0)
    for member in ENCODERS:
        found = fetchers(EPOCH, at, member.key)
        assert found == (EPOCH.validators.keys() if member.key in shard_of(EPOCH, at) else frozenset())
        monkeypatch.setattr("protocol.neighbours.FETCHERS_MAX", 2)
        assert fetchers(EPOCH, at, member.key) <= set(standing_order(EPOCH, member.key)[:2])
        monkeypatch.undo()


def test_meetings__are_the_rounds_shards_and_none_of_another_epoch() -> None:
    rounds = GENESIS.parameters.epoch_rounds
    assert [at.shard for at in meetings(EPOCH, 0)] == list(range(GENESIS.parameters.shards_per_round))
    assert meetings(EPOCH, rounds) == ()


def test_meeting_slots__last_until_a_round_without_certificate_is_void() -> None:
    assert 1 + MEETING_SLOTS == EXPIRY_SLOTS
