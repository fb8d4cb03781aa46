"""What a record says of the rounds of an epoch: scores become reputation, weights are summed."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from protocol.bending import ProbeSigns
from protocol.epochs.record import REPUTATION_START_PPM
from protocol.epochs.transition import Sighting, _reputation, decay_ppm
from protocol.epochs.view import PPM
from tests.support.eventful import weak
from tests.support.records import (
    ENCODERS,
    GENESIS,
    Story,
)

P = GENESIS.parameters

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
