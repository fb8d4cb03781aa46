"""The compiled kernels and torch say the same; no slab is copied, and memory does not grow with the items."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.core.errors import TypingError

from scoring import (
    HARDENED,
    LITERAL,
    ScoringRule,
    centring,
    compiled,
    item_terms,
    local_outlier_factor,
    memory,
    role_distances,
    score_shard,
)
from scoring.centring import looked_over
from scoring.compiled.pairs import _kth_smallest, _pair_median
from scoring.compiled.rows import products
from scoring.differential import differential_literal
from scoring.discrimination import block_cosines, discrimination
from scoring.median import sorting_network
from scoring.memory import strided
from scoring.views import Views, checked_batch
from tests.support.scores import same
from tests.support.synthetic_encoders import Shard, honest_shard, jittered, random_answers

torch.set_num_threads(1)

SHARD = honest_shard([0.9, 1.2, 1.6, 2.0, 2.5, 3.0], items=70, dimension=96)


def in_torch(call: Callable[[], object]) -> object:
    """The call's result when no compiled kernel may be used."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "serves", lambda _: False)
        return call()


def poisoned(shard: Shard) -> Shard:
    """Some answers withheld, infinite, overflowing, zero, tiny; encoder 5 mostly absent."""
    full, mask = shard.full.clone(), shard.mask.clone()
    full[3, 5], full[2, 7], full[1, 3], full[0, 9] = torch.nan, torch.inf, 3e38, 0.0
    mask[4, 11, 0], mask[4, 12, 1] = 1e-30, torch.nan
    full[5, 31:] = torch.nan
    return Shard(full, mask, shard.inverse, shard.share)


SHARDS = {
    "honest": SHARD,
    "poisoned": poisoned(SHARD),
    "noise": SHARD.join(random_answers(SHARD)),
    "copies": SHARD.join(jittered(SHARD.encoders([0] * 5), 0.02)),
}


@pytest.mark.parametrize("name", SHARDS)
@pytest.mark.parametrize("rule", [HARDENED, LITERAL], ids=lambda rule: rule.name)
def test_score_shard__compiled_kernels_and_torch_agree(name: str, rule: ScoringRule) -> None:
    arguments = SHARDS[name].arguments
    for means in (None, SHARDS[name].inverse[:, :, 0].mean(1)):
        ours = score_shard(*arguments, rule, means=means)
        theirs = in_torch(lambda means=means: score_shard(*arguments, rule, means=means))  # type: ignore[misc]
        # Innovation is that of a single item; cosines near 1 make the leak's denominator a small difference.
        assert same(ours, theirs, tolerance=1e-4 if name == "copies" else 1e-5)  # type: ignore[arg-type]


@given(
    seed=st.integers(0, 2**31),
    count=st.integers(1, 17),
    reach_floor=st.sampled_from([0.0, 0.75]),
    copies=st.integers(0, 4),
    missing=st.floats(0, 0.7),
)
@settings(max_examples=40)
def test_local_outlier_factor__compiled_kernels_and_torch_agree(
    seed: int, count: int, reach_floor: float, copies: int, missing: float
) -> None:
    draw = torch.Generator().manual_seed(seed)
    rows = torch.nn.functional.normalize(torch.randn(4, count, 32, generator=draw), dim=2)
    rows[:, : min(copies, count)] = rows[:, :1]
    valid = torch.rand(4, count, generator=draw) >= missing
    ours = local_outlier_factor(rows, valid, reach_floor=reach_floor)
    theirs = in_torch(lambda: local_outlier_factor(rows, valid, reach_floor=reach_floor))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@given(seed=st.integers(0, 2**31), count=st.integers(2, 130), ties=st.booleans())
@settings(max_examples=30)
def test_kth_smallest__equals_numpy_in_every_column(seed: int, count: int, ties: bool) -> None:
    draw = np.random.default_rng(seed)
    numbers = draw.random((count, count), np.float32)
    if ties:
        numbers = np.round(numbers, 1)
    numbers = numbers + numbers.T
    np.fill_diagonal(numbers, np.inf)
    k, found = int(draw.integers(1, count)), np.empty(count, np.float32)
    _kth_smallest(numbers, k, sorting_network(count), found)
    assert np.array_equal(found, np.sort(numbers, axis=0)[k - 1])


def test_pair_median__of_many_is_taken_of_the_distances_as_they_lie() -> None:
    for count in (1024, 1025):
        numbers = np.random.default_rng(count).random((count, count), np.float32) + np.float32(0.5)
        distance = np.triu(numbers, 1) + np.triu(numbers, 1).T
        distance[:2, 2:9], distance[2:9, :2] = 0, 0
        np.fill_diagonal(distance, np.inf)
        apart = distance[np.triu_indices(count, 1)].astype(np.float64)
        assert _pair_median(distance, 1e-4) == pytest.approx(np.median(apart[apart > 1e-4]), rel=1e-9)


@given(seed=st.integers(0, 2**31), count=st.integers(2, 40), ties=st.booleans(), same=st.floats(0.0, 1.0))
@settings(max_examples=40)
def test_pair_median__equals_numpy_over_pairs_that_are_not_identical(
    seed: int, count: int, ties: bool, same: float
) -> None:
    draw = np.random.default_rng(seed)
    numbers = draw.random((count, count), np.float32) + np.float32(0.5)
    if ties:
        numbers = np.round(numbers, 1)
    numbers[draw.random((count, count)) < same] = 0
    pairs = numbers[np.triu_indices(count, 1)]
    apart = pairs[pairs > 1e-4]
    expected = float(np.median(apart.astype(np.float64))) if len(apart) else 1e-4
    assert _pair_median(np.triu(numbers) + np.triu(numbers, 1).T, 1e-4) == pytest.approx(expected, rel=1e-7)


@given(seed=st.integers(0, 2**31), items=st.integers(2, 20), missing=st.floats(0, 0.9))
@settings(max_examples=30)
def test_discrimination__compiled_kernels_and_torch_agree_at_any_temperature(
    seed: int, items: int, missing: float
) -> None:
    draw = torch.Generator().manual_seed(seed)
    cosines = [2 * torch.rand(3, items, items, generator=draw) - 1]
    counted = torch.rand(3, items, generator=draw) >= missing
    for temperature in (0.003, 0.05, 5.0):
        arguments = (cosines, counted)
        constants = {"temperatures": (temperature,), "block_items_min": 2}
        ours = discrimination(*arguments, **constants)  # type: ignore[arg-type]
        theirs = in_torch(lambda: discrimination(*arguments, **constants))  # type: ignore[arg-type]  # noqa: B023
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_block_cosines__are_the_products_of_all_pairs_of_rows() -> None:
    draw = torch.Generator().manual_seed(4)
    for count in (1, 2, 3, 5, 8, 13):
        rows, others = torch.randn(2, count, 24, generator=draw)
        found = torch.empty(count, count)
        block_cosines(rows, others, found)
        torch.testing.assert_close(found, rows @ others.T, rtol=1e-5, atol=1e-5)


def test_products__of_rows_with_gaps_are_refused() -> None:
    rows = np.ones((8, 64), np.float32)
    with pytest.raises(TypingError, match="one after the other"):
        products(rows[:, ::2], rows[:, :32].copy(), np.empty((8, 8), np.float32))


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), -float("inf")])
def test_differential_literal__of_a_poisoned_answer_spoils_its_own_item_only(poison: float) -> None:
    full, mask, inverse = SHARD.full.clone(), SHARD.mask.clone(), SHARD.inverse
    counted = torch.ones(full.shape[:2], dtype=torch.bool)
    mask[2, 7, 1, 3] = poison
    counted[2, 7] = False
    whole = differential_literal(full, SHARD.mask, inverse, counted)
    assert torch.equal(differential_literal(full, mask, inverse, counted), whole)
    counted[2, 7] = True
    assert differential_literal(full, mask, inverse, counted).isfinite().tolist() == [
        encoder != 2 for encoder in range(len(full))
    ]


def test_looked_over__only_finite_answers_with_a_direction_have_a_factor() -> None:
    shard = SHARDS["poisoned"]
    views = Views(shard.full, shard.mask, shard.inverse, torch.ones(shard.full.shape[1], dtype=torch.bool))
    ours = looked_over(views)
    theirs = in_torch(lambda: looked_over(views))
    torch.testing.assert_close(ours.factors, theirs.factors)  # type: ignore[attr-defined]
    pointed = ours.norms.isfinite() & (ours.norms > 1e-12)
    assert torch.equal(ours.factors > 0, pointed)
    assert (ours.factors[~pointed] == 0).all()  # not NaN, which is no larger than 0 either
    without = [ours.factors[0, encoder, item] for encoder, item in ((3, 5), (2, 7), (1, 3), (0, 9))]
    assert without == [0, 0, 0, 0]
    poisoned_ones = ours.literal_losses.isfinite().logical_not().nonzero().tolist()
    assert poisoned_ones == [[1, 3], [2, 7], [3, 5], [4, 12], *([5, item] for item in range(31, 70))]
    torch.testing.assert_close(ours.literal_losses[:4, 10:], theirs.literal_losses[:4, 10:])  # type: ignore[attr-defined]


def test_score_shard__of_any_number_of_masks_agrees_with_torch() -> None:
    shard = honest_shard([0.9, 1.2, 1.6, 2.0], items=64, dimension=48, masks=3)  # more roles than at a time
    ours = score_shard(*shard.arguments)
    assert same(ours, in_torch(lambda: score_shard(*shard.arguments)), tolerance=1e-5)  # type: ignore[arg-type]


def test_score_shard__dead_encoder_and_served_items_agree_with_torch() -> None:
    full = SHARD.full.clone()
    full[1, :50] = torch.nan  # dead: the others' distances are not those of all encoders
    scored = torch.arange(full.shape[1]) >= 5
    arguments = (full, *SHARD.arguments[1:])
    ours = score_shard(*arguments, scored=scored)
    assert ours.terms["live"].tolist() == [1, 0, 1, 1, 1, 1]
    theirs = in_torch(lambda: score_shard(*arguments, scored=scored))
    assert same(ours, theirs, tolerance=1e-5)  # type: ignore[arg-type]


@pytest.mark.parametrize("numbers", [1, 1000, 1 << 20])
def test_score_shard__chunks_do_not_change_a_number(numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = score_shard(*SHARDS["poisoned"].arguments)
    monkeypatch.setattr(memory, "CHUNK_NUMBERS", numbers)
    monkeypatch.setattr(item_terms, "_NUMBERS", numbers)
    monkeypatch.setattr(centring, "_KEPT_BYTES", numbers)
    monkeypatch.setattr(role_distances, "_CHUNK_BYTES", numbers)
    # The sum of cosines is rounded once an item in float64, and consensus products by their library.
    assert same(score_shard(*SHARDS["poisoned"].arguments), plain, tolerance=1e-7)


def test_score_shard__threads_do_not_change_a_number() -> None:
    plain = score_shard(*SHARD.arguments)
    try:
        torch.set_num_threads(2)
        assert same(score_shard(*SHARD.arguments), plain, tolerance=1e-7)
    finally:
        torch.set_num_threads(1)


def test_views__of_one_slab_are_not_copied() -> None:
    slab = torch.randn(4, 64, 5, 16, generator=torch.Generator().manual_seed(1))
    batch = checked_batch(
        slab[:, :, 0],
        slab[:, :, 1:3],
        slab[:, :, 3:],
        torch.full((64, 2), 0.4),
        means=None,
        scored=None,
        parts=None,
        valid=None,
        items_min=64,
    )
    inside = range(slab.data_ptr(), slab.data_ptr() + 4 * slab.numel())
    for role in batch.views.roles():
        rows = batch.views.answers(role)
        assert rows.data_ptr() in inside
        assert strided(rows).numbers.ctypes.data == rows.data_ptr()


@given(shape=st.tuples(*3 * [st.integers(1, 4)]), order=st.permutations([0, 1]))
@settings(max_examples=30)
def test_strided__finds_every_row_of_any_layout(shape: tuple[int, int, int], order: list[int]) -> None:
    rows = torch.randn(*shape, generator=torch.Generator().manual_seed(2)).permute(*order, 2)
    numbers, steps = strided(rows)
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            at = i * steps[0] + j * steps[1]
            assert np.array_equal(numbers[at : at + rows.shape[2]], rows[i, j].numpy())


_PEAK = """
import pathlib, torch
from node.memory import give_back_free_memory
from scoring import compiled, local_outlier_factor, score_shard
give_back_free_memory()  # as in a node: with what glibc keeps of freed blocks 220 MB become up to 310

def kib(field):
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split(field)[1].split()[0])

torch.set_num_threads(1)
{prepare}
{what}(few)  # compiles
pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
before = kib("VmRSS:")
{what}(rows)
print(kib("VmHWM:") - before)
"""
_FACTORS = """
if {in_torch}:
    compiled.serves = lambda _: False
rows = torch.randn(2, 4096, 64, generator=torch.Generator().manual_seed(1))
few = rows[:, :8]
def factors(rows):
    local_outlier_factor(rows, reach_floor=0.75)
"""
_STEP = """
draw = torch.Generator().manual_seed(1)
rows = torch.randn(1024, 64, 5, 256, generator=draw).add_(torch.randn(64, 5, 256, generator=draw))
rows.div_(torch.linalg.vector_norm(rows, dim=3, keepdim=True))
few = rows[:8]
def step(rows):
    scores = score_shard(rows[:, :, 0], rows[:, :, 1:3], rows[:, :, 3:], torch.full((64, 2), 0.4))
    assert scores.valid.all()
"""


def peak_kib(what: str, prepare: str) -> int:
    """Memory that a function of rows takes beside them, in a process of its own."""
    code = _PEAK.format(what=what, prepare=prepare)
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=110)
    return int(told.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("in_torch", [False, True])
def test_local_outlier_factor__of_4096_encoders_takes_less_than_300_mb(in_torch: bool) -> None:
    # The distances of one item alone are 65,536.
    assert 60_000 < peak_kib("factors", _FACTORS.format(in_torch=in_torch)) < 290_000


@pytest.mark.slow
def test_score_shard__of_1024_encoders_takes_less_than_75_mb() -> None:
    # A table of pairs in float64 is 8,192, distances of the four items at a time are 16,384.
    assert 30_000 < peak_kib("step", _STEP) < 73_000


@pytest.mark.gpu
@pytest.mark.parametrize("name", SHARDS)
def test_score_shard__on_a_gpu_agrees_with_the_cpu(name: str) -> None:
    arguments = SHARDS[name].arguments
    ours = score_shard(*arguments)
    theirs = score_shard(*(tensor.cuda() for tensor in arguments))
    torch.testing.assert_close(theirs.score.cpu(), ours.score, rtol=0.0, atol=1e-4)
    torch.testing.assert_close(theirs.consensus.cpu(), ours.consensus, rtol=0.0, atol=1e-4, equal_nan=True)
    assert torch.equal(theirs.valid.cpu(), ours.valid)


@pytest.mark.gpu
def test_local_outlier_factor__on_a_gpu_agrees_with_the_cpu() -> None:
    rows = torch.nn.functional.normalize(
        torch.randn(8, 33, 256, generator=torch.Generator().manual_seed(3)), dim=2
    )
    for floor in (0.0, 0.75):
        theirs = local_outlier_factor(rows.cuda(), reach_floor=floor).cpu()
        torch.testing.assert_close(theirs, local_outlier_factor(rows, reach_floor=floor), rtol=1e-4, atol=0.0)
