"""From one record to the next: the same bytes everywhere; who stays, who joins, who is believed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from itertools import chain, combinations
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.bending import ProbeSigns
from protocol.codec import encode
from protocol.epochs.checking import Known, gather_inputs
from protocol.epochs.record import REPUTATION_START_PPM, first_seed
from protocol.epochs.transition import Sighting, _reputation, decay_ppm, next_epoch, no_inputs
from protocol.epochs.view import PPM, Epoch
from protocol.schedule import (
    ShardRound,
    dealer_of,
    dealers_in,
    first_place,
    pool_block,
    shard_of,
    shard_round,
)
from tests.support.cli import ROOT
from tests.support.epoch_vectors import digests_from
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
    newcomer,
    outcome,
    registration,
)

VECTORS = Path(__file__).parents[1] / "vectors" / "epochs.json"
NEW = sorted(newcomer(number) for number in range(3))
P = GENESIS.parameters


def weak(at: ShardRound, dealer: bytes, key: bytes) -> Row:
    """Scores that differ by round and encoder; one encoder is silent in every third round."""
    shown = not (key == ENCODERS[0] and at.round % 3 == 0)
    score = (at.round * 7_919 + key[0] * 3_001) % PPM
    return shown, score if shown else 0, 100_000 + at.round if shown else 0


def eventful() -> Story:
    """Six epochs in which everything happens once."""
    told = Story(row=weak)
    told.go_on()
    told.go_on(told.known([registration(key, 1) for key in NEW[:2]]))
    told.go_on(told.known(exits=[leaving(ENCODERS[1], 2)]))
    told.go_on(told.known(evidence=[conviction(ENCODERS[2], 2), conviction(VALIDATORS[3], 1)]))
    told.go_on(told.known([registration(ENCODERS[1], 4)], skip=[1, 2]))
    told.go_on()
    return told


# -- one result --------------------------------------------------------------------------------------------


def document_of(told: Story) -> dict[str, object]:
    """What the vectors hold."""
    rows = []
    for inputs, outcomes in zip(told.inputs, told.outcomes, strict=True):
        epoch = told.epochs.of(inputs.epoch)
        rows.append(
            {
                "inputs": encode(inputs).hex(),
                "outcomes": [encode(one).hex() for one in outcomes],
                "record": encode(epoch.record).hex(),
                "encoders": encode(epoch.table).hex(),
                "digest": epoch.digest.hex(),
            }
        )
    first = told.epochs.of(0).digest.hex()
    return {"genesis": GENESIS.data.hex(), "first_digest": first, "epochs": rows}


def test_vectors__give_the_same_records_on_any_machine() -> None:
    vectors = json.loads(VECTORS.read_text())
    assert digests_from(vectors) == [vectors["first_digest"], *(row["digest"] for row in vectors["epochs"])]
    assert document_of(eventful()) == vectors


def test_record__is_the_same_in_another_process_with_another_hash_seed() -> None:
    code = (
        "import json, sys; from tests.support.epoch_vectors import digests_from;"
        "print(digests_from(json.load(open(sys.argv[1])))[-1])"
    )
    vectors = json.loads(VECTORS.read_text())
    done = subprocess.run(
        [sys.executable, "-c", code, str(VECTORS)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "4242", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == vectors["epochs"][-1]["digest"]


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_record__does_not_depend_on_the_order_in_which_things_were_heard(data: st.DataObject) -> None:
    told = Story()
    told.go_on()
    told.go_on()
    registrations = [registration(key, 2) for key in NEW]
    exits = [leaving(key, 2) for key in ENCODERS[:2]]
    evidence = [conviction(key, 1) for key in (*ENCODERS[2:4], VALIDATORS[0])]
    one = told.known(registrations, exits, evidence)
    other = Known(
        one.rounds, *(data.draw(st.permutations(heard)) for heard in (registrations, exits, evidence))
    )
    first, second = (gather_inputs(told.epochs, known) for known in (one, other))
    assert encode(first[0]) == encode(second[0])
    assert (first[1].digest, encode(first[1].table)) == (second[1].digest, encode(second[1].table))


def test_record__names_the_one_before_and_its_inputs_and_changes_with_them() -> None:
    told = eventful()
    for number in range(1, 7):
        epoch, before = told.epochs.of(number), told.epochs.of(number - 1)
        assert epoch.record.previous == before.digest
        assert epoch.record.epoch == number
    without = Story(row=weak)
    for _ in range(6):
        without.go_on()
    assert len({told.epochs.of(6).digest, without.epochs.of(6).digest}) == 2


# -- reputation --------------------------------------------------------------------------------------------

dealers = st.sampled_from([bytes([n]) for n in range(5)])
scores = st.integers(0, PPM)


def sight(dealer: bytes, shown: bool, score_ppm: int) -> Sighting:
    """An encoder under a dealer; who shows nothing has no score."""
    return Sighting(dealer, shown, score_ppm if shown else 0, 0, ProbeSigns(0, 0, 0))


sightings = st.lists(
    st.builds(sight, dealers, st.booleans(), scores),
    max_size=12,
)


@given(half_life=st.integers(1, 64))
def test_decay__is_the_largest_integer_that_at_most_halves_in_a_half_life(half_life: int) -> None:
    kept = decay_ppm(half_life)
    assert 2 * kept**half_life <= PPM**half_life < 2 * (kept + 1) ** half_life


@given(half_life=st.integers(1, 24), before=scores)
def test_reputation__has_halved_after_a_half_life_of_nothing_to_show(half_life: int, before: int) -> None:
    after = before
    for _ in range(half_life):
        after = _reputation(after, [sight(b"a", True, 0)], half_life)
    # Down to the rounding of each epoch: of the share kept and of the product.
    assert before // 2 - 2 * half_life <= after <= before / 2


@given(seen=sightings, before=scores, half_life=st.integers(1, 24))
def test_reputation__stays_between_what_it_was_and_what_was_seen(
    seen: list[Sighting], before: int, half_life: int
) -> None:
    after = _reputation(before, seen, half_life)
    shown = [one.score_ppm for one in seen]
    assert min([before, *shown]) - 2 <= after <= max([before, *shown])


@given(
    others=st.dictionaries(dealers, st.lists(scores, min_size=1, max_size=3), min_size=2),
    told=st.lists(st.tuples(st.booleans(), scores), min_size=1, max_size=6),
    before=scores,
)
def test_one_dealer__can_neither_make_nor_ruin_an_encoder_that_two_others_saw(
    others: dict[bytes, list[int]], told: list[tuple[bool, int]], before: int
) -> None:
    honest_rows = [sight(key, True, score) for key, row in others.items() for score in row]
    means = [sum(row) // len(row) for row in others.values()]
    lying = [sight(b"liar", shown, score) for shown, score in told]
    after = _reputation(before, [*honest_rows, *lying], 4)
    lowest, highest = (
        _reputation(before, [sight(b"x", True, score)], 4) for score in (min(means), max(means))
    )
    assert lowest <= after <= highest


def test_of_two_dealers__the_lower_counts_and_of_one_its_word() -> None:
    # As stated in the threat model: below three dealers nobody outvotes the one that lies.
    half = decay_ppm(1)
    assert _reputation(0, [sight(b"a", True, PPM), sight(b"b", True, 0)], 1) == 0
    assert _reputation(0, [sight(b"a", True, PPM)], 1) == PPM - half


@given(absent=st.lists(dealers, min_size=1, max_size=6), before=scores, score=scores)
def test_absence__counts_only_when_two_dealers_saw_it(absent: list[bytes], before: int, score: int) -> None:
    gone = [sight(dealer, False, 0) for dealer in absent]
    shown = sight(b"other", True, score)
    if len(set(absent)) == 1:
        assert _reputation(before, gone, 4) == before
        assert _reputation(before, [*gone, shown], 4) == _reputation(before, [shown], 4)
    else:
        assert _reputation(before, gone, 4) == before * decay_ppm(4) // PPM


def test_score_in_the_record__is_the_lower_median_over_dealers() -> None:
    told = Story(row=weak)
    told.go_on()
    before = told.epochs.of(1)
    told.go_on()
    (rounds,) = told.outcomes[1:]
    for state in told.newest.table.encoders:
        seen = [
            (one.dealer, one.score_ppm[row])
            for one in rounds
            for row, key in enumerate(one.encoders)
            if key == state.public_key and one.revealed[row]
        ]
        by_dealer = [
            sum(score for name, score in seen if name == dealer) // Counter(d for d, _ in seen)[dealer]
            for dealer in {dealer for dealer, _ in seen}
        ]
        if state.public_key == ENCODERS[0] or not seen:
            continue
        score = sorted(by_dealer)[(len(by_dealer) - 1) // 2]
        kept = decay_ppm(P.reputation_half_life_epochs)
        was = before.encoders[state.public_key].reputation_ppm
        assert was == REPUTATION_START_PPM
        assert state.reputation_ppm == (was * kept + score * (PPM - kept)) // PPM


def test_weight__is_the_sum_over_the_rounds_the_record_was_made_from() -> None:
    told = Story(row=weak)
    told.go_on()
    told.go_on()
    for state in told.newest.table.encoders:
        assert state.weight_ppm == sum(
            one.weight_ppm[one.encoders.index(state.public_key)]
            for one in told.outcomes[1]
            if state.public_key in one.encoders
        )


# -- members -----------------------------------------------------------------------------------------------


def test_newcomer__joins_with_the_least_stake_no_reputation_and_on_probation() -> None:
    told = Story()
    told.go_on(told.known([registration(NEW[0], 0)]))
    state = told.newest.encoders[NEW[0]]
    assert (state.stake, state.reputation_ppm, state.shards_judged) == (P.registration_stake, 0, 0)
    assert told.newest.is_on_probation(NEW[0])
    assert not any(told.newest.is_on_probation(key) for key in ENCODERS)


def test_probation__ends_with_the_rounds_revealed_in_and_absence_does_not_count() -> None:
    def half_there(at: ShardRound, _: bytes, key: bytes) -> Row:
        shown = key != NEW[0] or at.round % 2 == 0
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


# -- draws -------------------------------------------------------------------------------------------------


def test_blocks_dealt__are_those_counted_from_genesis() -> None:
    told = eventful()
    dealt: Counter[bytes] = Counter()
    for number in range(7):
        epoch = told.epochs.of(number)
        assert {key: state.blocks_dealt for key, state in epoch.states.items()} == {
            key: dealt[key] for key in VALIDATORS
        }
        for n in range(ROUNDS):
            at = shard_round(GENESIS, number * ROUNDS + n, 0)
            assert pool_block(epoch, at) == dealt[dealer_of(epoch, at)]
            dealt[dealer_of(epoch, at)] += 1


def test_seed__comes_from_the_preimages_two_epochs_before() -> None:
    told = Story()
    told.go_on()
    assert [told.epochs.of(number).seed for number in (0, 1)] == [
        first_seed(GENESIS.network_id, number) for number in (0, 1)
    ]
    one, _ = gather_inputs(told.epochs, told.known())
    outcomes = [one.outcome for one in told.known().rounds]
    seeds = {next_epoch(told.newest, told.epochs, one, outcomes).seed}
    for index, row in enumerate(outcomes):
        changed = msgspec.structs.replace(row, preimage=bytes(32))
        others = [*outcomes[:index], changed, *outcomes[index + 1 :]]
        seeds.add(next_epoch(told.newest, told.epochs, one, others).seed)
    assert len(seeds) == 1 + ROUNDS
    judged = [msgspec.structs.replace(row, score_ppm=(0,) * len(row.encoders)) for row in outcomes]
    assert next_epoch(told.newest, told.epochs, one, judged).seed in seeds  # scores choose nothing


@pytest.mark.parametrize("last", range(5))
def test_withholding__gives_who_deals_the_last_rounds_one_bit_for_each(last: int) -> None:
    # All other preimages are known by then, its own from the start: it may report any of its rounds or none.
    told = Story()
    told.go_on()
    own = range(ROUNDS - last, ROUNDS)
    choices = chain.from_iterable(combinations(own, count) for count in range(last + 1))
    seeds = {skipped: gather_inputs(told.epochs, told.known(skip=skipped))[1].seed for skipped in choices}
    assert len(set(seeds.values())) == 2**last
    # Each but the seed of an honest dealer costs it a round; two seeds cost one.
    assert [len(skipped) for skipped in seeds].count(0) == 1
    assert [len(skipped) for skipped in seeds].count(1) == last


def test_outcomes_in_another_order_than_the_inputs__are_a_fault_of_ours() -> None:
    told = Story()
    told.go_on()
    known = told.known()
    inputs, _ = gather_inputs(told.epochs, known)
    outcomes = [one.outcome for one in known.rounds]
    with pytest.raises(AssertionError):
        next_epoch(told.newest, told.epochs, inputs, outcomes[::-1])
    with pytest.raises(AssertionError):
        next_epoch(told.newest, told.epochs, no_inputs(2), outcomes)


def test_epoch_of_a_record__is_pure(monkeypatch: pytest.MonkeyPatch) -> None:
    # What enters is not changed by computing with it.
    told = Story()
    told.go_on()
    before = encode(told.newest.record), encode(told.newest.table)
    one = gather_inputs(told.epochs, told.known([registration(NEW[0], 1)]))[1]
    two = gather_inputs(told.epochs, told.known([registration(NEW[0], 1)]))[1]
    assert (encode(told.newest.record), encode(told.newest.table)) == before
    assert isinstance(one, Epoch)
    assert one.digest == two.digest
    assert outcome(told.newest, first_place(told.newest)) == outcome(told.newest, first_place(told.newest))
