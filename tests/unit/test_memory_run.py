"""How the memory benchmark judges its samples."""

from __future__ import annotations

import os

import pytest

from benchmarks.memory_run import MIB, Sample, judged, lowest, sample, slope


def at(round_: int, anonymous: int) -> Sample:
    return Sample(2.0 * round_, round_, anonymous + 40 * MIB, anonymous, 0)


def test_slope__is_that_of_a_line_whatever_its_points() -> None:
    assert slope([(x, 7.0 + 3.0 * x) for x in (0.0, 1.0, 5.0, 6.0)]) == pytest.approx(3.0)
    assert slope([(0.0, 1.0), (1.0, 2.0)]) is None


def test_growth__is_told_a_thousand_rounds_and_an_hour_and_peaks_are_none() -> None:
    grows = [at(round_, 100_000_000 + 2_000 * round_) for round_ in range(200)]
    peaks = [at(round_, one.anonymous + 50 * MIB) for round_, one in enumerate(grows) if round_ % 20 == 7]
    found = judged(sorted([*grows, *peaks], key=lambda one: one.round), 100, 20)
    assert found["per_1000_rounds"] == {"anonymous": pytest.approx(2.0), "files": 0.0}
    assert found["per_hour"]["anonymous"] == pytest.approx(3.6)
    assert found["most_mib"] > 140
    assert [one.round for one in lowest(grows, 50)] == [0, 50, 100, 150]


def test_sample__splits_what_is_resident() -> None:
    here = sample(os.getpid(), 0.0, 0)
    assert here is not None
    assert 0 < here.anonymous < here.resident
    assert here.anonymous + here.shared + here.files == here.resident
    assert sample(2**22 + 1, 0.0, 0) is None
