"""Who a record says is a member: who joins, sits out a probation, leaves, is convicted."""

from __future__ import annotations

import pytest

from protocol.schedule import (
    ShardRound,
    dealer_of,
    dealers_in,
    first_place,
    shard_of,
    shard_round,
)
from tests.support.eventful import NEW
from tests.support.records import (
    ENCODERS,
    GENESIS,
    ROUNDS,
    SCORE_PPM,
    VALIDATORS,
    Row,
    Story,
    conviction,
    leaving,
    registration,
)

P = GENESIS.parameters


def test_newcomer__joins_with_the_least_stake_no_reputation_and_on_probation() -> None:
    told = Story()
    told.go_on(told.known([registration(NEW[0], 0)]))
    state = told.newest.encoders[NEW[0]]
    assert (state.stake, state.reputation_ppm, state.shards_judged) == (P.registration_stake, 0, 0)
    assert told.newest.is_on_probation(NEW[0])
    assert not any(told.newest.is_on_probation(key) for key in ENCODERS)


def test_probation__ends_with_the_rounds_revealed_in_and_absence_does_not_count() -> None:
    def half_there(at: ShardRound, _: bytes, key: bytes) -> Row:
        shown = key != NEW[0] or at.round % 3 > 0
        return shown, SCORE_PPM if shown else 0, 0

    told = Story(row=half_there)
    told.go_on(told.known([registration(NEW[0], 0)]))
    judged = 0
    for _ in range(18):
        told.go_on()
        judged += sum(
            one.revealed[one.encoders.index(NEW[0])] for one in told.outcomes[-1] if NEW[0] in one.encoders
        )
        state = told.newest.encoders[NEW[0]]
        assert state.shards_judged == min(judged, P.probation_shards)
        assert told.newest.is_on_probation(NEW[0]) == (judged < P.probation_shards)
    assert judged >= P.probation_shards


def test_silence__ends_a_membership_and_an_epoch_unsampled_is_none() -> None:
    mute = ENCODERS[0]

    def silent(at: ShardRound, _: bytes, key: bytes) -> Row:
        return (key != mute, SCORE_PPM, 0) if key != mute else (False, 0, 0)

    told = Story(row=silent)
    told.go_on()
    silent_epochs = 0
    while mute in told.newest.encoders:
        told.go_on()
        sampled = any(mute in one.encoders for one in told.outcomes[-1])
        silent_epochs += sampled
        if mute in told.newest.encoders:
            assert told.newest.encoders[mute].silent_epochs == silent_epochs
    assert silent_epochs == P.silent_epochs_max
    told.go_on(told.known(skip=range(ROUNDS)))  # no certified rounds: nobody was silent
    assert all(state.silent_epochs == 0 for state in told.newest.encoders.values())


def test_one_reveal__ends_the_silence() -> None:
    def every_other_epoch(at: ShardRound, _: bytes, key: bytes) -> Row:
        shown = key != ENCODERS[0] or at.epoch % 2 == 1
        return shown, SCORE_PPM if shown else 0, 0

    told = Story(row=every_other_epoch)
    counts = []
    for _ in range(7):
        told.go_on()
        counts.append(told.newest.encoders[ENCODERS[0]].silent_epochs)
    assert counts == [0, 1, 0, 1, 0, 1, 0]


def test_exit__takes_the_key_out_and_its_way_back_begins_anew() -> None:
    told = Story()
    told.go_on()
    told.go_on()
    told.go_on(told.known(exits=[leaving(ENCODERS[0], 2)]))
    assert ENCODERS[0] not in told.states()
    told.go_on(told.known([registration(ENCODERS[0], 3, bytes(32))]))
    state = told.newest.encoders[ENCODERS[0]]
    assert state.stake == GENESIS.encoders[ENCODERS[0]].stake  # it need not show work
    assert (state.reputation_ppm, state.shards_judged) == (0, 0)
    assert told.newest.is_on_probation(ENCODERS[0])


def test_conviction__takes_all_stake_for_good() -> None:
    told = Story()
    told.go_on()
    told.go_on(told.known(evidence=[conviction(ENCODERS[0], 1), conviction(VALIDATORS[0], 0)]))
    for _ in range(P.silent_epochs_max + 3):
        assert ENCODERS[0] not in told.newest.encoders
        assert VALIDATORS[0] not in told.newest.validators
        assert told.newest.total_stake == 300
        assert not told.newest.is_member(ENCODERS[0])
        number = told.newest.number
        again = [registration(ENCODERS[0], number, bytes(32)), registration(ENCODERS[0], number)]
        told.go_on(told.known(again, exits=[leaving(ENCODERS[0], number)]))
        assert told.inputs[-1].registrations == told.inputs[-1].exits == ()
        assert told.states()[ENCODERS[0]].stake == 0  # type: ignore[attr-defined]
        first = first_place(told.newest).round
        for n in range(ROUNDS):
            at = shard_round(GENESIS, first + n, 0)
            assert dealer_of(told.newest, at) != VALIDATORS[0]
            assert ENCODERS[0] not in shard_of(told.newest, at)


def test_exit_and_conviction_in_one_record__leave_no_way_back() -> None:
    told = Story()
    told.go_on(told.known(exits=[leaving(ENCODERS[0], 0)], evidence=[conviction(ENCODERS[0], 0)]))
    assert told.states()[ENCODERS[0]].stake == 0  # type: ignore[attr-defined]
    told.go_on(told.known([registration(ENCODERS[0], 1)]))
    assert ENCODERS[0] not in told.newest.encoders


def test_one_that_left_before_it_was_convicted__is_convicted_on_its_return() -> None:
    told = Story()
    told.go_on()
    told.go_on(told.known(exits=[leaving(ENCODERS[0], 1)]))
    evidence = [conviction(ENCODERS[0], 1)]
    told.go_on(told.known([registration(ENCODERS[0], 2)], evidence=evidence))
    assert ENCODERS[0] in told.newest.encoders
    told.go_on(told.known(evidence=evidence))
    assert ENCODERS[0] not in told.newest.encoders
    assert ENCODERS[0] in told.states()


def test_table__takes_no_more_than_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.epochs.transition.MEMBERS_MAX", len(ENCODERS) + 1)
    told = Story()
    told.go_on(told.known([registration(key, 0) for key in NEW]))
    assert len(told.newest.encoders) == len(ENCODERS) + 1
    assert NEW[0] in told.newest.encoders


def test_all_validators_convicted__leave_a_record_that_nobody_can_follow() -> None:
    told = Story()
    told.go_on()
    epoch = told.go_on(told.known(evidence=[conviction(key, 0, by=ENCODERS[0]) for key in VALIDATORS]))
    assert (epoch.validators, epoch.total_stake) == ({}, 0)
    assert dealers_in(epoch) == (b"",) * ROUNDS
