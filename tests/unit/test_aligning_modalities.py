"""Aligning by hand in a network of another modality than text: the same steps on its own items."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.aligning import Wanted, align_model, ways_for
from node.encoders import load_encoder
from node.encoders.own_alignment import Target
from node.modalities import sample_items
from node.pairs import Pair, Pairs

MODALITY, MODEL, REFERENCE = "series", "series-spans", "series-kernels"
PAIRS = 1_100


@pytest.mark.slow
@pytest.mark.parametrize("target", list(Target))
def test_align__fits_a_model_of_series_to_the_reference_or_the_consensus(
    tmp_path: Path, target: Target
) -> None:
    items = sample_items(MODALITY)[-PAIRS:]
    consensus = load_encoder("series-lags", REFERENCE).encode(items)
    vectors = (consensus - consensus.mean(axis=0)).astype("<f4")
    with Pairs.open(tmp_path) as pairs:
        pairs.add(
            [Pair(item, vector.tobytes(), 1, 0, True) for item, vector in zip(items, vectors, strict=True)]
        )
    told = []
    wanted = Wanted(
        MODEL, REFERENCE, target, ways_for(MODEL), 4_096, tmp_path, tmp_path / "maps", modality=MODALITY
    )
    (found,) = align_model(wanted, lambda what, done, total: told.append((what, done, total)))
    assert set(found.scores) == {"series-spans", "series-kernels", "series-lags"}
    assert all(score > 0 for score in found.scores.values())
    assert 0 < found.retrieval <= 1
    assert Path(found.stored).is_file()
    assert {what for what, _, _ in told} >= {"embedding pairs", "embedding masks", "scoring"}
    if target is Target.CONSENSUS:
        assert found.pairs == PAIRS
        assert found.cosine_before is not None
        assert found.cosine > found.cosine_before
