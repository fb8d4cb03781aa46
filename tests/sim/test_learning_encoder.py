"""A small version of the show that an encoder learns, and what its summary says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import learning_encoder
from node.bench.texts import Split, split_texts


def run_of(difference: float, seed: int) -> dict[str, object]:
    draw = np.random.default_rng(seed)
    scores = draw.normal(0.3, 0.02, (22, 6))
    scores[:, -1] = scores[:, -2] + difference + draw.normal(0, 0.02, 22)
    scores[3] = np.nan  # a round that was not certified
    return {"scores": scores.tolist()}


def test_summary__tells_an_encoder_that_learns_from_one_that_does_not() -> None:
    learns = learning_encoder.summary([run_of(0.1, seed) for seed in range(5)])
    assert learns["interval_95"][0] > 0.05
    assert learns["difference"] == pytest.approx(0.1, abs=0.02)
    stays = learning_encoder.summary([run_of(0.0, seed) for seed in range(5)])
    assert stays["interval_95"][0] < 0 < stays["interval_95"][1]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_encoder__that_learns_outscores_its_frozen_twin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning_encoder, "BUCKETS", 1 << 13)
    monkeypatch.setattr(learning_encoder, "WIDTH", 128)
    rows = learning_encoder.Answers(tmp_path)
    found = learning_encoder.run(0, 8, split_texts(Split.TUNE), rows)
    scores = np.array(found["scores"])
    assert np.isfinite(scores).all()  # every round is certified
    assert scores[0, -1] == pytest.approx(scores[0, -2])  # they begin as twins
    assert np.mean(scores[4:, -1] - scores[4:, -2]) > 0.02
    assert found["agreement"][-1] > found["agreement"][0]
