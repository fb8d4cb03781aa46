"""What an epoch learns: whole numbers, whatever machine and order; means and moments of the vectors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from node.epochs.learning import ShardVectors, learn_from
from protocol.codec import decode, encode
from protocol.epochs.checking import InputsError, check_inputs, gather_inputs
from protocol.epochs.inputs import CertifiedRef
from protocol.epochs.learnt import (
    FIRST_SHAPING_PERCENT,
    MEANS_BYTES_MAX,
    NOTHING_LEARNT,
    ROWS_MAX,
    STEPS_PER_UNIT,
    ConsensusMoments,
    EncoderMeans,
    Group,
    Learnt,
    LearntError,
    ShapingMoments,
    means_from,
    moments_from,
)
from protocol.hashing import content_digest
from tests.support.records import Story

VECTORS = Path(__file__).parents[1] / "vectors" / "learning.json"
KEYS = [bytes([number]) * 32 for number in range(1, 7)]
D = 6

Rows = NDArray[np.float32]


def units(seed: int, count: int, dimensions: int = D) -> Rows:
    rows = np.random.default_rng(seed).normal(size=(count, dimensions))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def shard(seed: int, keys: list[bytes], items: int = 20) -> ShardVectors:
    return ShardVectors(keys, units(seed, len(keys)), units(seed + 1000, items))


def covariance(moments: ConsensusMoments, group: Group) -> NDArray[np.float64]:
    """Of a group the products are of, in units."""
    products = np.zeros((D, D))
    products[np.triu_indices(D)] = np.frombuffer(moments.products, "<i8")
    products += np.triu(products, 1).T
    mean = np.frombuffer(group.total, "<i8") / group.rows
    return (products / group.rows - np.outer(mean, mean)) / STEPS_PER_UNIT**2


def rows_of(means: EncoderMeans) -> dict[bytes, NDArray[np.float64]]:
    rows = np.frombuffer(means.rows, "<i2").reshape(len(means.encoders), -1) / STEPS_PER_UNIT
    return dict(zip(means.encoders, rows, strict=True))


def test_means__are_those_over_the_shards_of_an_epoch() -> None:
    first, second = shard(1, KEYS[:3]), shard(2, KEYS[1:4])
    learnt = learn_from(NOTHING_LEARNT, KEYS, False, [second, first])
    found = rows_of(means_from(learnt.means))
    assert list(found) == KEYS[:4]
    expected = {
        KEYS[0]: first.means[0],
        KEYS[1]: (first.means[1] + second.means[0]) / 2,
        KEYS[2]: (first.means[2] + second.means[1]) / 2,
        KEYS[3]: second.means[2],
    }
    for key, row in expected.items():
        np.testing.assert_allclose(found[key], row, atol=1.1 / STEPS_PER_UNIT)


def test_means__stay_for_the_absent_and_go_with_who_left() -> None:
    before = learn_from(NOTHING_LEARNT, KEYS, False, [shard(1, KEYS[:3])])
    after = learn_from(before, KEYS[1:], False, [shard(2, KEYS[2:4])])
    found, old = rows_of(means_from(after.means)), rows_of(means_from(before.means))
    assert list(found) == KEYS[1:4]
    np.testing.assert_array_equal(found[KEYS[1]], old[KEYS[1]])
    assert not np.array_equal(found[KEYS[2]], old[KEYS[2]])


def test_moments__are_mean_and_covariance_of_the_vectors() -> None:
    shards = [shard(1, KEYS[:2], 30), shard(2, KEYS[:2], 40)]
    moments = moments_from(learn_from(NOTHING_LEARNT, KEYS, False, shards).moments)
    rows = np.concatenate([one.consensus for one in shards]).astype(np.float64)
    assert (moments.uncentred.rows, moments.centred.rows) == (70, 0)
    mean = np.frombuffer(moments.uncentred.total, "<i8") / 70 / STEPS_PER_UNIT
    np.testing.assert_allclose(mean, rows.mean(0), atol=1 / STEPS_PER_UNIT)
    np.testing.assert_allclose(
        covariance(moments, moments.uncentred), np.cov(rows.T, bias=True), atol=3 / STEPS_PER_UNIT
    )


def test_moments__halve_what_was_there() -> None:
    one = learn_from(NOTHING_LEARNT, KEYS, True, [shard(1, KEYS, 40)])
    two = moments_from(learn_from(one, KEYS, True, [shard(2, KEYS, 10)]).moments)
    assert two.centred.rows == 30
    old, new = shard(1, KEYS, 40).consensus.astype(float), shard(2, KEYS, 10).consensus.astype(float)
    mean = (old.sum(0) / 2 + new.sum(0)) / 30
    np.testing.assert_allclose(
        covariance(two, two.centred),
        (old.T @ old / 2 + new.T @ new) / 30 - np.outer(mean, mean),
        atol=3 / STEPS_PER_UNIT,
    )


def test_moments__vectors_of_epochs_without_means_give_way_and_keep_their_mean() -> None:
    uncentred = learn_from(NOTHING_LEARNT, KEYS, False, [shard(1, KEYS, 40)])
    both = moments_from(learn_from(uncentred, KEYS, True, [shard(2, KEYS, 30)]).moments)
    alone = moments_from(learn_from(NOTHING_LEARNT, KEYS, True, [shard(2, KEYS, 30)]).moments)
    assert (both.centred, both.products) == (alone.centred, alone.products)
    assert both.uncentred == moments_from(uncentred.moments).uncentred


def test_moments__are_untouched_by_vectors_around_another_origin() -> None:
    centred = learn_from(NOTHING_LEARNT, KEYS, True, [shard(2, KEYS, 30)])
    both = moments_from(learn_from(centred, KEYS, False, [shard(1, KEYS, 40)]).moments)
    before = moments_from(centred.moments)
    assert (both.centred, both.products) == (before.centred, before.products)
    assert both.uncentred.rows == 40


@settings(max_examples=30)
@given(st.integers(0, 1000), st.permutations(range(4)))
def test_learnt__the_order_of_shards_and_rows_is_of_no_account(seed: int, order: list[int]) -> None:
    shards = [shard(seed + number, KEYS[number : number + 3]) for number in range(4)]
    turned = [
        ShardVectors(one.encoders, one.means, one.consensus[::-1]) for one in (shards[at] for at in order)
    ]
    assert learn_from(NOTHING_LEARNT, KEYS, False, shards) == learn_from(NOTHING_LEARNT, KEYS, False, turned)


def test_learnt__sums_are_exact_at_the_most_rows() -> None:
    rows = np.full((ROWS_MAX, 2), 1.0, np.float32)
    rows[:, 1] = np.where(np.arange(ROWS_MAX) % 2, 1, -1)
    full = ShardVectors(KEYS[:1], rows[:1], rows)
    learnt = NOTHING_LEARNT
    for _ in range(60):  # counts converge to twice what one epoch adds
        learnt = learn_from(learnt, KEYS, True, [full])
    moments = moments_from(learnt.moments)
    assert moments.centred.rows == 2 * ROWS_MAX - 1
    products = np.frombuffer(moments.products, "<i8")
    assert abs(int(products[0]) - 2 * ROWS_MAX * STEPS_PER_UNIT**2) <= 2
    assert int(products[1]) in (-1, 0)
    assert int(products[0]) < 2**53


def test_learnt__only_the_newest_rows_enter_when_there_are_too_many() -> None:
    newest, older = shard(1, KEYS, 30), shard(2, KEYS, ROWS_MAX)
    moments = moments_from(learn_from(NOTHING_LEARNT, KEYS, True, [newest, older]).moments)
    cut = ShardVectors(KEYS, older.means, older.consensus[: ROWS_MAX - 30])
    assert moments.centred.rows == ROWS_MAX
    assert moments == moments_from(learn_from(NOTHING_LEARNT, KEYS, True, [newest, cut]).moments)


def test_learnt__what_is_no_number_counts_for_nothing() -> None:
    clean = shard(1, KEYS[:2], 10)
    broken = np.concatenate([clean.consensus, np.full((1, D), np.nan, np.float32)])
    broken[-1, 0] = np.inf
    means = np.concatenate([clean.means, np.full((1, D), np.nan, np.float32)])
    learnt = learn_from(NOTHING_LEARNT, KEYS, False, [ShardVectors(KEYS[:3], means, broken)])
    other = learn_from(NOTHING_LEARNT, KEYS, False, [clean])
    assert learnt.moments == other.moments
    assert not rows_of(means_from(learnt.means))[KEYS[2]].any()


def test_learnt__an_epoch_without_rounds_changes_nothing() -> None:
    learnt = learn_from(NOTHING_LEARNT, KEYS, False, [shard(1, KEYS)])
    assert learn_from(learnt, KEYS, True, []) == learnt
    assert learn_from(NOTHING_LEARNT, KEYS, False, []) == NOTHING_LEARNT


def test_learnt__a_mean_at_the_edge_of_the_range_stays_in_it() -> None:
    edge = np.array([[1.0, -1.0]], np.float32)
    learnt = learn_from(NOTHING_LEARNT, KEYS, False, [ShardVectors(KEYS[:1], edge, edge)])
    assert np.frombuffer(means_from(learnt.means).rows, "<i2").tolist() == [32767, -32768]


GOOD = learn_from(NOTHING_LEARNT, KEYS, False, [shard(1, KEYS[:2])])


@pytest.mark.parametrize(
    "means",
    [
        EncoderMeans((KEYS[1], KEYS[0]), bytes(24)),
        EncoderMeans((KEYS[0], KEYS[0]), bytes(24)),
        EncoderMeans((KEYS[0], KEYS[1]), bytes(23)),
        EncoderMeans((), b""),
    ],
)
def test_means__of_another_shape_are_refused(means: EncoderMeans) -> None:
    with pytest.raises(LearntError):
        means_from(encode(means))


@pytest.mark.parametrize(
    "moments",
    [
        ConsensusMoments(Group(0, b""), Group(0, b""), b""),
        ConsensusMoments(Group(1, bytes(16)), Group(0, b""), bytes(16)),
        ConsensusMoments(Group(1, bytes(16)), Group(1, bytes(24)), bytes(24)),
        ConsensusMoments(Group(0, bytes(16)), Group(0, b""), bytes(24)),
        ConsensusMoments(Group(1, b""), Group(1, bytes(16)), bytes(24)),
    ],
)
def test_moments__of_another_shape_are_refused(moments: ConsensusMoments) -> None:
    with pytest.raises(LearntError):
        moments_from(encode(moments))


@given(st.binary(max_size=200))
def test_learnt__random_bytes_are_refused(data: bytes) -> None:
    for read in (means_from, moments_from):
        if data:
            with pytest.raises(LearntError):
                read(data)


def test_learnt__reads_back() -> None:
    assert decode(GOOD.means, EncoderMeans, size_bytes_max=MEANS_BYTES_MAX) == means_from(GOOD.means)
    damaged = Learnt(GOOD.means[:-1], GOOD.moments)
    with pytest.raises(LearntError):
        learn_from(damaged, KEYS, False, [shard(1, KEYS[:2])])


# -- one result --------------------------------------------------------------------------------------------


def shard_in(row: dict[str, str]) -> ShardVectors:
    means, consensus = (
        np.frombuffer(bytes.fromhex(row[name]), "<f4").reshape(-1, 4) for name in ("means", "consensus")
    )
    keys = bytes.fromhex(row["encoders"])
    return ShardVectors([keys[at : at + 32] for at in range(0, len(keys), 32)], means, consensus)


def test_vectors__give_the_same_bytes_on_any_machine() -> None:
    learnt, epochs = NOTHING_LEARNT, json.loads(VECTORS.read_text())
    assert [epoch["centred"] for epoch in epochs] == [False, False, True, True]
    for epoch in epochs:
        learnt = learn_from(
            learnt,
            KEYS,
            epoch["centred"],
            [shard_in(row) for row in epoch["shards"]],
            FIRST_SHAPING_PERCENT,
        )
        assert (learnt.means.hex(), learnt.moments.hex()) == (epoch["means"], epoch["moments"])


@pytest.mark.parametrize("centred", [False, True])
def test_moments__say_how_they_shape_but_for_networks_of_the_first_rules(centred: bool) -> None:
    shards = [shard(1, KEYS)]
    said, unsaid = (
        moments_from(learn_from(NOTHING_LEARNT, KEYS, centred, shards, percent).moments)
        for percent in (40, FIRST_SHAPING_PERCENT)
    )
    assert isinstance(said, ShapingMoments)
    assert said.shaping_percent == 40
    assert type(unsaid) is ConsensusMoments
    assert (said.centred, said.uncentred, said.products) == (
        unsaid.centred,
        unsaid.uncentred,
        unsaid.products,
    )


def test_later_moments__go_on_saying_it() -> None:
    first = learn_from(NOTHING_LEARNT, KEYS, True, [shard(1, KEYS)], 40)
    after = moments_from(learn_from(first, KEYS, False, [shard(2, KEYS)], 40).moments)
    assert isinstance(after, ShapingMoments)
    assert after.shaping_percent == 40


@pytest.mark.parametrize("percent", [0, 51, -1])
def test_moments__that_shape_beyond_whitening_are_refused(percent: int) -> None:
    good = moments_from(GOOD.moments)
    with pytest.raises(LearntError, match="cannot be read"):
        moments_from(encode(ShapingMoments(good.centred, good.uncentred, good.products, percent)))


def test_record__names_what_was_learnt() -> None:
    told = Story()
    told.go_on()
    known = told.known()

    def learn(rounds: Sequence[CertifiedRef]) -> Learnt:
        assert [ref.at for ref in rounds] == [one.outcome.at for one in known.rounds]
        return GOOD

    inputs, epoch = gather_inputs(told.epochs, known, learn)
    assert (epoch.record.means, epoch.record.means_bytes) == (content_digest(GOOD.means), len(GOOD.means))
    assert (epoch.record.moments, epoch.record.moments_bytes) == (
        content_digest(GOOD.moments),
        len(GOOD.moments),
    )
    assert check_inputs(told.epochs, encode(inputs), known.rounds, learn).digest == epoch.digest
    assert check_inputs(told.epochs, encode(inputs), known.rounds).digest != epoch.digest


def test_inputs__are_refused_by_who_cannot_learn_from_them() -> None:
    told = Story()
    told.go_on()
    inputs, _ = gather_inputs(told.epochs, told.known())

    def cannot(_: Sequence[CertifiedRef]) -> Learnt:
        raise LearntError("the report of round 3 is not here")

    with pytest.raises(InputsError, match="the report of round 3 is not here"):
        check_inputs(told.epochs, encode(inputs), told.known().rounds, cannot)
