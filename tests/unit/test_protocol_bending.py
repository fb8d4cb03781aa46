"""The sequential test: what it adds up, whom it exposes, and at what rate it is wrong."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.bending import (
    BENT,
    EXPOSED_MILLINATS,
    LEANING,
    Bending,
    BendingError,
    Sign,
    advanced,
    is_exposed,
)
from protocol.codec import decode, encode

SIGNS = pytest.mark.parametrize("sign", [BENT, LEANING], ids=["bent", "leaning"])
SUMS = st.integers(0, 10**6)


@SIGNS
def test_constants__are_log_likelihood_ratios_rounded_in_favour_of_the_accused(sign: Sign) -> None:
    honest, fabricated = sign.honest_share_max, sign.fabricated_share
    assert sign.with_millinats == math.floor(1000 * math.log(fabricated / honest))
    assert sign.without_millinats == math.ceil(1000 * math.log((1 - honest) / (1 - fabricated)))
    # The martingale of which the false accusation rate follows: its mean does not grow while nobody forges.
    mean = honest * math.exp(sign.with_millinats / 1000)
    mean += (1 - honest) * math.exp(-sign.without_millinats / 1000)
    assert mean <= 1


def test_threshold__is_one_in_ten_million_for_both_sums_together() -> None:
    assert 2 * math.exp(-EXPOSED_MILLINATS / 1000) <= 1e-7


@given(bent=SUMS, leaning=SUMS, probes=st.integers(0, 500), data=st.data())
def test_sums__are_exact_integers_that_never_fall_below_zero(
    bent: int, leaning: int, probes: int, data: st.DataObject
) -> None:
    more = data.draw(st.floats(0, probes)), data.draw(st.floats(0, probes))
    after = advanced(Bending(bent, leaning), float(probes), *more)
    assert after.bent >= 0
    assert after.leaning >= 0
    for before, now, signs, sign in (
        (bent, after.bent, more[0], BENT),
        (leaning, after.leaning, more[1], LEANING),
    ):
        exact = before + signs * sign.with_millinats - (probes - signs) * sign.without_millinats
        assert max(0, exact) - 3 <= now <= max(0, exact)  # rounded down, at most a thousandth of a probe


@given(bent=SUMS, probes=st.integers(1, 100), data=st.data())
def test_more_signs__never_mean_less_suspicion(bent: int, probes: int, data: st.DataObject) -> None:
    few, many = sorted(data.draw(st.tuples(st.floats(0, probes), st.floats(0, probes))))
    start = Bending(bent, bent)
    low, high = (advanced(start, float(probes), signs, signs) for signs in (few, many))
    assert low.bent <= high.bent
    assert low.leaning <= high.leaning


def test_round_without_probes__changes_nothing() -> None:
    assert advanced(Bending(7, 9), 0.0, 0.0, 0.0) == Bending(7, 9)


@pytest.mark.parametrize("sums", [(EXPOSED_MILLINATS, 0), (0, EXPOSED_MILLINATS)], ids=["bent", "leaning"])
def test_either_sum__exposes_at_the_threshold_and_not_before(sums: tuple[int, int]) -> None:
    assert is_exposed(Bending(*sums))
    assert not is_exposed(Bending(*(max(0, value - 1) for value in sums)))


@pytest.mark.parametrize(
    "terms",
    [(16.0, 17.0, 0.0), (16.0, 0.0, 17.0), (16.0, -1.0, 0.0), (math.nan, 0.0, 0.0), (16.0, math.inf, 0.0)],
)
def test_terms_that_no_scoring_makes__are_refused(terms: tuple[float, float, float]) -> None:
    with pytest.raises(BendingError, match="certified report"):
        advanced(Bending(), *terms)


def test_bending__crosses_a_wire() -> None:
    assert decode(encode(Bending(3, 5)), Bending, size_bytes_max=100) == Bending(3, 5)


@SIGNS
def test_honest_encoder_at_its_worst__is_not_exposed_in_a_million_probes(sign: Sign) -> None:
    draw = random.Random(1)
    sums = Bending()
    for _ in range(62_500):
        signs = sum(draw.random() < sign.honest_share_max for _ in range(16))
        sums = advanced(sums, 16.0, float(signs * (sign is BENT)), float(signs * (sign is LEANING)))
        assert not is_exposed(sums)


@pytest.mark.parametrize(("share", "rounds_max"), [(1.0, 1), (0.5, 4), (0.25, 12)])
def test_fabricator__is_exposed_in_a_few_rounds(share: float, rounds_max: int) -> None:
    draw = random.Random(2)
    sums, rounds = Bending(), 0
    while not is_exposed(sums):
        sums = advanced(sums, 16.0, float(sum(draw.random() < share for _ in range(16))), 0.0)
        rounds += 1
    assert rounds <= rounds_max


def test_credit__is_not_saved_up() -> None:
    patient = Bending()
    for _ in range(1000):
        patient = advanced(patient, 16.0, 0.0, 0.0)
    assert patient == Bending()
