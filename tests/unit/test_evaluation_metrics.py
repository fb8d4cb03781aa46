"""Metrics of embeddings, against values by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, roc_auc_score
from sklearn.neighbors import KNeighborsClassifier

from node.evaluation.errors import EvaluationError
from node.evaluation.metrics import (
    alignment,
    clustering,
    mean_estimate,
    nearest_neighbours,
    neighbour_accuracy,
    neighbour_hits,
    ranks,
    retrieval,
    triplet_accuracy,
    triplet_shares,
    uniformity,
)
from node.evaluation.metrics.clustering import _agreement

Rows = NDArray[np.float64]
SEEDS = st.integers(0, 2**32 - 1)


def at_angles(*degrees: float) -> Rows:
    """Unit rows in a plane."""
    turns = np.radians(degrees)
    return np.stack([np.cos(turns), np.sin(turns)], axis=1)


def normal(seed: int, rows: int, dimensions: int = 6) -> Rows:
    return np.random.default_rng(seed).normal(size=(rows, dimensions))


# --- Estimates ---------------------------------------------------------------------------------------------


def test_mean_estimate__covers_what_the_normal_law_says() -> None:
    values = np.random.default_rng(0).normal(3, 1, 400)
    found = mean_estimate(values)
    half = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.01)
    assert found.high == pytest.approx(values.mean() + half, abs=0.01)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30), SEEDS)
@settings(max_examples=25, deadline=None)
def test_mean_estimate__repeats_itself_and_holds_its_value(values: list[float], seed: int) -> None:
    found = mean_estimate(np.array(values), seed)
    assert found == mean_estimate(np.array(values), seed)
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9


def test_mean_estimate__refuses_no_case() -> None:
    with pytest.raises(EvaluationError, match="one at least"):
        mean_estimate(np.empty(0))


# --- Retrieval ---------------------------------------------------------------------------------------------


def test_retrieval__ranks_by_hand() -> None:
    # The query at 0 has its own at 30, and another at 10: second. That at 90 has its own at 10: third.
    gallery = at_angles(30, 10, 80)
    found = ranks(at_angles(0, 90), gallery, np.array([0, 1]))
    assert found.tolist() == [2, 3]
    figures = retrieval(at_angles(0, 90, 80), gallery, np.array([0, 1, 2]))
    assert figures.mean_reciprocal_rank.value == pytest.approx((1 / 2 + 1 / 3 + 1) / 3)
    assert figures.recall_1.value == pytest.approx(1 / 3)
    assert figures.recall_10.value == 1


@given(SEEDS, st.floats(1e-3, 1e3))
@settings(max_examples=25, deadline=None)
def test_retrieval__only_directions_count(seed: int, scale: float) -> None:
    queries, gallery = normal(seed, 12), normal(seed + 1, 12)
    sizes = np.random.default_rng(seed).uniform(0.1, 10, (12, 1))
    assert ranks(queries, gallery).tolist() == ranks(queries * scale, gallery * sizes).tolist()


def test_retrieval__one_answer_to_everything_finds_nothing() -> None:
    same = np.ones((50, 1024), np.float32) * np.random.default_rng(0).normal(size=1024).astype(np.float32)
    assert ranks(same, same).tolist() == [50] * 50


def test_retrieval__a_row_without_numbers_neither_finds_nor_is_found() -> None:
    rows = normal(0, 4)
    broken = rows.copy()
    broken[1, 2] = np.nan
    assert ranks(rows, broken).tolist() == [1, 4, 1, 1]
    assert ranks(broken, rows).tolist() == [1, 4, 1, 1]


def test_retrieval__refuses_queries_without_an_own_row() -> None:
    with pytest.raises(EvaluationError, match="which row is its own"):
        ranks(normal(0, 5), normal(1, 4))


# --- Nearest neighbours ------------------------------------------------------------------------------------


@given(SEEDS, st.integers(1, 12))
@settings(max_examples=25, deadline=None)
def test_neighbours__are_those_of_scikit_learn(seed: int, k: int) -> None:
    gallery, probes = normal(seed, 40), normal(seed + 1, 15)
    kind = np.random.default_rng(seed).integers(0, 2, 40)
    wanted = np.random.default_rng(seed + 2).integers(0, 2, 15)
    oracle = KNeighborsClassifier(k, metric="cosine", algorithm="brute").fit(gallery, kind)
    assert nearest_neighbours(gallery, probes, k).tolist() == oracle.kneighbors(probes)[1].tolist()
    if k % 2:  # an even vote of two classes may be a tie
        hits = neighbour_hits(gallery, kind, probes, wanted, k)
        assert hits.tolist() == (oracle.predict(probes) == wanted).tolist()


def test_neighbours__a_tied_vote_goes_to_the_nearest() -> None:
    gallery, kind = at_angles(20, 25, 5, 30), ["a", "a", "b", "b"]
    assert neighbour_hits(gallery, kind, at_angles(0), ["b"], 4).tolist() == [True]
    assert neighbour_hits(gallery, kind, at_angles(0), ["a"], 3).tolist() == [True]
    assert neighbour_accuracy(gallery, kind, at_angles(0, 22), ["b", "b"], 1).value == 0.5


def test_neighbours__no_numbers_are_nobodys_neighbour_and_a_miss() -> None:
    gallery, kind = at_angles(0, 90), ["a", "b"]
    gallery[0] = np.inf
    probes = at_angles(1, 1)
    probes[1] = np.nan
    assert nearest_neighbours(gallery, probes, 2)[0].tolist() == [1, -1]
    assert neighbour_hits(gallery, kind, probes, ["b", "b"], 2).tolist() == [True, False]


# --- Triplets ----------------------------------------------------------------------------------------------


def test_triplets__by_hand() -> None:
    # Anchor at 0: positive at 20 is nearer than 50 but not than -10. At 20: its positive at 0 than neither
    # of 50 and -10 ... than both at 30. The two of class b mirror that.
    rows, kind = at_angles(0, 20, 50, -10), ["a", "a", "b", "b"]
    assert triplet_shares(rows, kind).tolist() == [0.5, 1.0, 0.0, 0.0]
    assert triplet_accuracy(rows, kind).value == pytest.approx(0.375)


@given(SEEDS)
@settings(max_examples=6, deadline=None)
def test_triplets__are_the_area_under_each_anchors_roc_curve(seed: int) -> None:
    rows, kind = normal(seed, 20), np.arange(20) % 3
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    for place, share in enumerate(triplet_shares(rows, kind)):
        others = np.arange(20) != place
        area = roc_auc_score(kind[others] == kind[place], units[others] @ units[place])
        assert share == pytest.approx(area)


def test_triplets__a_tie_and_no_numbers_count_against() -> None:
    assert triplet_accuracy(np.ones((6, 3)), [0, 0, 0, 1, 1, 1]).value == 0
    rows = at_angles(0, 1, 90, 91)
    rows[1] = np.nan
    assert triplet_shares(rows, [0, 0, 1, 1]).tolist() == [0.0, 0.0, 0.5, 0.5]


def test_triplets__refuse_rows_of_one_class() -> None:
    with pytest.raises(EvaluationError, match="no triplet"):
        triplet_accuracy(normal(0, 4), ["a"] * 4)


# --- Clustering --------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=60))
@settings(max_examples=50, deadline=None)
def test_agreement__is_that_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    kind, found = zip(*pairs, strict=True)
    table = np.zeros((1, 4, 4))
    np.add.at(table[0], (kind, found), 1)
    mutual, rand = _agreement(table)[0]
    if len(set(kind)) > 1 and len(set(found)) > 1:
        assert mutual == pytest.approx(normalized_mutual_info_score(kind, found), abs=1e-9)
        assert rand == pytest.approx(adjusted_rand_score(kind, found), abs=1e-9)


def test_clustering__finds_clusters_that_are_there_and_none_in_noise() -> None:
    kind = np.arange(120) % 3
    apart = clustering(np.eye(3)[kind] + 0.05 * normal(0, 120, 3), kind)
    assert apart.normalised_mutual_information.value == pytest.approx(1)
    assert apart.adjusted_rand_index.low == pytest.approx(1)
    noise = clustering(normal(1, 120), kind)
    assert abs(noise.adjusted_rand_index.value) < 0.05
    assert noise.adjusted_rand_index.low < noise.adjusted_rand_index.value < noise.adjusted_rand_index.high


def test_clustering__one_answer_to_everything_agrees_with_nothing() -> None:
    found = clustering(np.ones((30, 4)), np.arange(30) % 3)
    assert found.normalised_mutual_information.value == found.adjusted_rand_index.value == 0


def test_clustering__refuses_as_many_classes_as_rows() -> None:
    with pytest.raises(EvaluationError, match="more rows than classes"):
        clustering(normal(0, 3), [0, 1, 2])


# --- Geometry ----------------------------------------------------------------------------------------------


def test_alignment__by_hand() -> None:
    found = alignment(at_angles(0, 0, 0), 7 * at_angles(90, 180, 0))
    assert found.value == pytest.approx((2 + 4 + 0) / 3)


def test_uniformity__by_hand() -> None:
    # Distances squared: 2, 4, 2 of three points at right angles on a circle.
    found = uniformity(at_angles(0, 90, 180))
    assert found.value == pytest.approx(np.log((2 * np.exp(-4) + np.exp(-8)) / 3), abs=1e-6)
    assert uniformity(np.ones((5, 2))).value == pytest.approx(0, abs=1e-5)
    wide = uniformity(normal(0, 300, 512))
    assert -4.05 < wide.low < wide.value < wide.high < -3.8


def test_uniformity__refuses_one_row() -> None:
    with pytest.raises(EvaluationError, match="two or more"):
        uniformity(np.array([[1.0, 0.0], [np.nan, 1.0]]))
