"""The data that comes with the dependencies: canonical, distinct, of one shape, the same each time."""

from __future__ import annotations

import numpy as np
import pytest

from node.modalities import Part, decode_view, sample_items
from protocol.masks import UNITS_MIN
from protocol.modalities import MODALITIES

MODALITY_NAMES = ("audio", "bytes", "image", "series")
LEAST = {"audio": 2_000, "bytes": 3_000, "image": 3_000, "series": 2_000}


@pytest.mark.parametrize("modality", MODALITY_NAMES)
def test_sample_items__are_distinct_canonical_items_of_one_shape(modality: str) -> None:
    items = sample_items(modality, count=100)
    assert len(set(items)) == len(items) == 100
    for item in items:
        MODALITIES[modality].check(item)
    assert len(MODALITIES[modality].unit_sizes(items[0])) >= UNITS_MIN
    assert len({(len(item), item[:4] if modality != "bytes" else b"") for item in items}) == 1


@pytest.mark.parametrize("modality", MODALITY_NAMES)
def test_sample_items__are_the_same_each_time_whatever_the_count(modality: str) -> None:
    assert sample_items(modality, count=10) == sample_items(modality, count=20)[:10]


@pytest.mark.parametrize("modality", MODALITY_NAMES)
def test_sample_items__of_the_parts_differ(modality: str) -> None:
    anchors, items = (set(sample_items(modality, part=part, count=60)) for part in ("anchors", "items"))
    assert len(anchors) == len(items) == 60
    assert not anchors & items


@pytest.mark.slow
@pytest.mark.parametrize("modality", MODALITY_NAMES)
def test_sample_items__are_as_many_as_promised_and_share_nothing(modality: str) -> None:
    anchors, items = (set(sample_items(modality, part=part)) for part in ("anchors", "items"))
    assert len(items) >= LEAST[modality]
    assert len(anchors) >= LEAST[modality] // 2
    assert not anchors & items


@pytest.mark.parametrize("part", ["anchors", "items"])
def test_sample_sounds__are_heard_and_not_clipped(part: Part) -> None:
    for item in sample_items("audio", part=part, count=60):
        sound = np.asarray(decode_view("audio", item))
        assert sound.shape == (16_384,)
        assert np.sqrt(np.mean(sound**2)) > 0.01
        assert np.abs(sound).max() < 0.95


def test_sample_series__are_standardised_and_change_in_every_channel() -> None:
    for item in sample_items("series", count=60):
        series = np.asarray(decode_view("series", item))
        assert series.shape == (64, 4)
        assert np.abs(series.mean(axis=0)).max() < 1e-3
        assert np.abs(series.std(axis=0) - 1).max() < 1e-2


def test_sample_items__refuses_text_and_unknown_modalities() -> None:
    with pytest.raises(ValueError, match="not of 'text'"):
        sample_items("text")
