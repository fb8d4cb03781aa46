"""Who gets a place when there are few left."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.room import RELAYED_MAX, Room
from protocol.epochs.known import Epochs
from protocol.hashing import digest
from protocol.neighbours import meetings
from protocol.schedule import shard_of, slot_start_ms
from tests.support.genesis import small_network

GENESIS, VALIDATORS, ENCODERS = small_network(validators=5, encoders=60, shard_size=3)
EPOCHS = Epochs(GENESIS)
ME = VALIDATORS[0].key
OTHERS = [one.key for one in VALIDATORS[1:]]
KEYS = [one.key for one in ENCODERS]
PLACES = 24
KEPT = 12
NOW_ROUND = 6


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.room.now_ms", lambda: slot_start_ms(GENESIS, NOW_ROUND) + 1)


def met_now() -> set[bytes]:
    """Encoders of the shards of now, of late and of the next slot."""
    found = set()
    for round_ in range(NOW_ROUND - 2, NOW_ROUND + 2):
        epoch = EPOCHS.of(round_ // GENESIS.parameters.epoch_rounds)
        for at in meetings(epoch, round_):
            found.update(shard_of(epoch, at))
    return found


def room(connected: set[bytes], me: bytes = ME) -> Room:
    made = Room(EPOCHS, me, PLACES)
    made.connected = lambda: connected
    return made


MET = sorted(met_now())
STANDING = [key for key in KEYS if key not in MET]
subsets = st.builds(
    lambda encoders, validators: set(encoders) | set(validators),
    st.lists(st.sampled_from(KEYS), unique=True, max_size=PLACES),
    st.lists(st.sampled_from(OTHERS), unique=True),
)


def test_shards_met_now__are_some_and_not_all() -> None:
    assert 1 <= len(MET) <= KEPT
    assert len(STANDING) > PLACES


@given(subsets, st.sampled_from(OTHERS))
def test_validator__is_always_let_in(connected: set[bytes], key: bytes) -> None:
    assert room(connected)(key)


@settings(max_examples=25, deadline=None)
@given(subsets)
def test_places__filled_in_any_order_leave_one_for_every_validator(connected: set[bytes]) -> None:
    members: set[bytes] = set()
    here = room(members)
    for key in [*sorted(connected), *KEYS]:
        if len(members) < PLACES and here(key):
            members.add(key)
    assert len(members - set(OTHERS)) <= PLACES - len(OTHERS)
    # Those of the shards find room even after everybody else has come.
    assert set(MET) <= members


@settings(max_examples=25, deadline=None)
@given(st.permutations(KEYS))
def test_encoders_that_stand__leave_the_places_of_the_shards_alone(order: list[bytes]) -> None:
    members: set[bytes] = set()
    here = room(members)
    for key in order:
        if key not in MET and here(key):
            members.add(key)
    assert len(members) == PLACES - len(OTHERS) - KEPT
    for key in MET:
        assert here(key)
        members.add(key)


def test_stranger__gets_no_place_that_is_kept() -> None:
    free = PLACES - len(OTHERS) - KEPT
    stranger = digest("stranger")
    assert room(set(STANDING[: free - 1]))(stranger)
    assert not room(set(STANDING[:free]))(stranger)


def test_relay__lets_in_a_bounded_number_of_encoders_and_every_validator() -> None:
    relay, *others = KEYS
    made = Room(EPOCHS, relay, 1_000)
    connected = set(others[: RELAYED_MAX - 1])
    made.connected = lambda: connected
    assert made(others[-1])
    connected.add(others[-2])
    assert not made(others[-1])
    assert made(OTHERS[0])
