"""Exposure by probes in the record: no reputation, and a probation that is longer each time."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.bending import MILLI, Bending, ProbeSigns
from protocol.epochs.probation import EXPOSURES_MAX, FACTOR, shards_needed
from protocol.epochs.record import EncoderState, EncoderTable
from protocol.epochs.transition import Sighting, _judged
from protocol.epochs.view import PPM, Epoch
from tests.support.records import ENCODERS, GENESIS

P = GENESIS.parameters
FIRST = Epoch.first(GENESIS)
KEY = ENCODERS[0]
HONEST, BENT = ProbeSigns(16, 0, 0), ProbeSigns(16, 16 * MILLI, 0)
STATE = FIRST.encoders[KEY]


def seen(rounds: int, signs: ProbeSigns) -> list[Sighting]:
    return [Sighting(bytes([n % 3]), True, PPM // 2, 1000, signs) for n in range(rounds)]


def on_probation(state: EncoderState) -> bool:
    table = EncoderTable(tuple(state if one.public_key == KEY else one for one in FIRST.table.encoders))
    return Epoch(GENESIS, FIRST.record, table).is_on_probation(KEY)


def test_exposed_encoder__begins_anew_without_weight() -> None:
    after = _judged(FIRST, STATE, seen(2, BENT))
    assert (after.reputation_ppm, after.shards_judged, after.exposures, after.bending) == (0, 0, 1, Bending())
    assert after.weight_ppm == 2000  # what it was paid for was certified
    assert on_probation(after)
    assert not on_probation(STATE)


def test_honest_encoder__is_not_exposed() -> None:
    after = _judged(FIRST, STATE, seen(60, HONEST))
    assert after.exposures == 0
    assert not on_probation(after)


@pytest.mark.parametrize("exposures", [1, 2, EXPOSURES_MAX])
def test_probation__is_longer_with_each_exposure(exposures: int) -> None:
    needed = P.probation_shards * FACTOR**exposures
    state = msgspec.structs.replace(STATE, shards_judged=0, exposures=exposures)
    short = _judged(FIRST, state, seen(needed - 1, HONEST))
    assert on_probation(short)
    enough = _judged(FIRST, short, seen(1, HONEST))
    assert not on_probation(enough)
    assert enough.shards_judged == needed == shards_needed(P, exposures)
    assert _judged(FIRST, enough, seen(9, HONEST)).shards_judged == needed  # bounded


def test_forger_that_goes_on__is_exposed_before_its_probation_is_over() -> None:
    """What a probation of the same length let through: a forger exposed in 8 rounds, judged in 8."""
    slow = ProbeSigns(3, 3 * MILLI, 0)
    state, believed = STATE, 0
    for epoch in range(24):
        believed += epoch > 0 and not on_probation(state)
        state = _judged(FIRST, state, seen(8, slow))
    assert state.exposures > 2
    assert believed == 0


@given(st.integers(0, 100))
def test_exposures__beyond_the_most_count_as_the_most(exposures: int) -> None:
    assert shards_needed(P, exposures) <= shards_needed(P, exposures + 1) <= P.probation_shards * FACTOR**6
    state = msgspec.structs.replace(STATE, exposures=min(exposures, EXPOSURES_MAX))
    assert _judged(FIRST, state, seen(30, BENT)).exposures <= EXPOSURES_MAX
