"""What torch computes on other devices is what the CPU's compiled kernels compute, hostile rows and all.

Every test here runs by torch on the CPU, with the compiled kernels switched off, and, marked `gpu`, on a GPU.
Distances and their medians have two ways, one for few rows and one for many: both are taken at every size.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from scoring import HARDENED, LITERAL, ScoringRule, ShardScores, compiled, pair_median, score_shard
from scoring import local_outlier_factor as outlier_factor
from scoring.cross_fit import cross_fitted_weights
from scoring.distances import pairwise
from scoring.median import coordinate_median
from scoring.pair_median import median_distance
from scoring.shaping import fit_shaping
from tests.support.hostile_rows import Rows, hostile_rows, unit_rows
from tests.support.synthetic_encoders import Shard, cabal_shard, honest_shard, jittered, random_answers

torch.set_num_threads(1)

SAME_FIXTURE = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass(frozen=True)
class Elsewhere:
    """A way to compute that is not the CPU's compiled kernels."""

    device: str
    rows_max: int
    """Rows up to which the way for few rows is taken."""

    @contextmanager
    def used(self) -> Iterator[None]:
        """Inside, no compiled kernel serves any tensor."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compiled, "serves", lambda _: False)
            patch.setattr(pair_median, "_SORTED_ROWS_MAX", self.rows_max)
            yield

    def factors(self, rows: Rows, reach_floor: float = 0.0, max_bytes: int = 64 << 20) -> Tensor:
        """The outlier factors as computed there, brought back."""
        with self.used():
            valid = None if rows.valid is None else rows.valid.to(self.device)
            there = rows.x.to(self.device)
            return outlier_factor(there, valid, rows.neighbors, reach_floor, max_bytes).cpu()

    def scores(self, shard: Shard, rule: ScoringRule = HARDENED, **options: Tensor) -> ShardScores:
        """The shard's scores as computed there."""
        with self.used():
            full, mask, inverse, share = (x.to(self.device) for x in shard.arguments)
            given: dict[str, Any] = {name: value.to(self.device) for name, value in options.items()}
            return score_shard(full, mask, inverse, share, rule, **given)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[1 << 30, 0], ids=["few", "many"])
def elsewhere(device: str, request: pytest.FixtureRequest) -> Elsewhere:
    return Elsewhere(device, request.param)


@pytest.fixture
def few(device: str) -> Elsewhere:
    """The way for few rows, whose numbers depend on nothing else that is computed with them."""
    return Elsewhere(device, 1 << 30)


@pytest.mark.parametrize("reach_floor", [0.0, 0.75])
@pytest.mark.parametrize("count", [8, 16, 30, 64, pytest.param(256, marks=pytest.mark.gpu)])
def test_local_outlier_factor__of_hostile_rows_is_that_of_the_cpu(
    elsewhere: Elsewhere, count: int, reach_floor: float
) -> None:
    for name, rows in hostile_rows(count).items():
        ours = outlier_factor(rows.x, rows.valid, rows.neighbors, reach_floor)
        theirs = elsewhere.factors(rows, reach_floor)
        rest = torch.arange(count) != (2 if name == "one giant row" else -1)  # to it all are equally far
        off = (theirs - ours).abs() > rows.tolerance * ours
        # Of many rows now and then two are so near the k-th place that float32 cannot say which is nearer.
        assert off[:, rest].float().mean() < 0.01, name
        torch.testing.assert_close(theirs[:, rest], ours[:, rest], rtol=1e-3, atol=0.0)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_local_outlier_factor__of_hardly_any_rows_is_that_of_the_cpu(
    elsewhere: Elsewhere, count: int
) -> None:
    for rows in (Rows(unit_rows(count, 1.0)), Rows(unit_rows(count, 0.0)), Rows(unit_rows(count, torch.nan))):
        for floor in (0.0, 0.75):
            ours = outlier_factor(rows.x, rows.valid, rows.neighbors, floor)
            torch.testing.assert_close(elsewhere.factors(rows, floor), ours, rtol=1e-5, atol=0.0)


@pytest.mark.parametrize("poison", [torch.nan, torch.inf, -torch.inf, 3e38, 1e20])
def test_local_outlier_factor__poisoned_row_leaves_its_peers_unchanged(
    elsewhere: Elsewhere, poison: float
) -> None:
    rows, valid = unit_rows(16, 1.0), torch.ones(3, 16, dtype=torch.bool)
    valid[:, 3] = False
    without = elsewhere.factors(Rows(rows, valid), 0.75)
    for place in (slice(None), 7):
        poisoned = rows.clone()
        poisoned[:, 3, place] = poison
        assert torch.equal(elsewhere.factors(Rows(poisoned), 0.75), without)
    assert torch.isinf(without[:, 3]).all()


@pytest.mark.parametrize("neighbors", [1, 4, 20])
def test_local_outlier_factor__identical_rows_score_one_there_too(
    elsewhere: Elsewhere, neighbors: int
) -> None:
    rows = unit_rows(1, 1.0).expand(3, neighbors + 1, -1)
    assert elsewhere.factors(Rows(rows, neighbors=neighbors), 0.75).eq(1).all()


def test_pairwise__identical_rows_are_at_distance_zero(elsewhere: Elsewhere) -> None:
    rows = unit_rows(16, 1.0, dimension=1024)[:, torch.arange(16) // 2]
    with elsewhere.used():
        distance = pairwise(rows.to(elsewhere.device)).distance.cpu()
    assert distance[:, ::2, 1::2].diagonal(dim1=1, dim2=2).eq(0).all()
    assert distance[:, 0, 2:].min() > 0.5


@given(seed=st.integers(0, 2**31), count=st.integers(2, 40), spread=st.sampled_from([1e-6, 1e-2, 1.0]))
@SAME_FIXTURE
def test_local_outlier_factor__of_few_rows_follows_them_in_any_order_and_chunk(
    few: Elsewhere, seed: int, count: int, spread: float
) -> None:
    rows = unit_rows(count, spread, dimension=48, items=5, seed=seed)
    draw = torch.Generator().manual_seed(seed)
    order, items = torch.randperm(count, generator=draw), torch.randperm(5, generator=draw)
    plain = few.factors(Rows(rows), 0.75)
    assert torch.equal(few.factors(Rows(rows), 0.75, max_bytes=1), plain)
    moved = few.factors(Rows(rows[items][:, order]), 0.75)
    torch.testing.assert_close(moved, plain[items][:, order], rtol=1e-6, atol=0.0)
    slab = rows.transpose(0, 1)[:, :, None].expand(-1, -1, 3, -1).contiguous()  # [encoder, item, role, D]
    assert torch.equal(few.factors(Rows(slab[:, :, 1].transpose(0, 1)), 0.75), plain)


def test_local_outlier_factor__of_many_rows_hardly_depends_on_order_or_chunk(device: str) -> None:
    many, rows = Elsewhere(device, 0), unit_rows(64, 0.5)
    plain = many.factors(Rows(rows), 0.75)
    torch.testing.assert_close(many.factors(Rows(rows), 0.75, max_bytes=1), plain, rtol=1e-5, atol=0.0)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    moved = many.factors(Rows(rows[:, order]), 0.75)
    torch.testing.assert_close(moved, plain[:, order], rtol=1e-5, atol=0.0)


def test_local_outlier_factor__no_setting_of_precision_changes_a_number(elsewhere: Elsewhere) -> None:
    rows, backend = Rows(unit_rows(64, 0.1, dimension=256)), torch.backends.cuda.matmul
    plain, before = elsewhere.factors(rows), backend.fp32_precision
    torch.set_float32_matmul_precision("medium")
    backend.fp32_precision = "tf32"
    try:
        with torch.autocast(elsewhere.device, dtype=torch.bfloat16):
            assert torch.equal(elsewhere.factors(rows), plain)
            assert torch.is_autocast_enabled(elsewhere.device)
        assert backend.fp32_precision == "tf32"
    finally:
        torch.set_float32_matmul_precision("highest")
        backend.fp32_precision = before


@given(seed=st.integers(0, 2**31), count=st.integers(1, 40), missing=st.floats(0, 1))
@SAME_FIXTURE
def test_coordinate_median__equals_numpy_there_too(
    few: Elsewhere, seed: int, count: int, missing: float
) -> None:
    draw = torch.Generator().manual_seed(seed)
    rows = torch.randn(4, count, 8, generator=draw)
    present = torch.rand(4, count, generator=draw) >= missing
    with few.used():
        found = coordinate_median(rows.to(few.device), present.to(few.device)).cpu().numpy()
    for item in range(4):
        here = rows[item, present[item]].numpy().astype(np.float64)
        np.testing.assert_allclose(found[item], np.median(here, 0) if len(here) else np.zeros(8), rtol=1e-6)


@given(seed=st.integers(0, 2**31), count=st.integers(2, 40), ties=st.booleans(), missing=st.floats(0, 1))
@SAME_FIXTURE
def test_median_distance__equals_numpy_both_ways(
    elsewhere: Elsewhere, seed: int, count: int, ties: bool, missing: float
) -> None:
    draw = torch.Generator().manual_seed(seed)
    numbers = torch.rand(3, count, count, generator=draw)
    numbers = (numbers.mul(4).round() if ties else numbers) + 0.5
    numbers, both = numbers + numbers.mT, (torch.rand(3, count, count, generator=draw) >= missing).triu(1)
    with elsewhere.used():
        arguments = numbers.to(elsewhere.device), (both | both.mT).to(elsewhere.device)
        found = median_distance(*arguments).cpu()
    for item in range(3):
        pairs = numbers[item][both[item]].double().numpy()
        assert float(found[item]) == pytest.approx(float(np.median(pairs)) if len(pairs) else 0.0, rel=1e-7)


def poisoned(shard: Shard) -> Shard:
    """Some answers withheld, infinite, overflowing, zero, tiny; encoder 5 mostly absent."""
    full, mask = shard.full.clone(), shard.mask.clone()
    full[3, 5], full[2, 7], full[1, 3], full[0, 9] = torch.nan, torch.inf, 3e38, 0.0
    mask[4, 11, 0], mask[4, 12, 1] = 1e-30, torch.nan
    full[5, 31:] = torch.nan
    return Shard(full, mask, shard.inverse, shard.share)


@cache
def shard_of(count: int, kind: str) -> Shard:
    """`count` encoders, of whom a third may be something else than honest."""
    others = count // 3
    honest = honest_shard([0.9 + 0.05 * (n % 40) for n in range(count - others)], items=66, dimension=64)
    if kind == "copies":
        return honest.join(jittered(honest.encoders([0] * others), 0.02))
    if kind == "cabal":
        return honest.join(cabal_shard(honest, others, 0.3))
    for seed in range(others):
        honest = honest.join(random_answers(honest, seed))
    return poisoned(honest) if kind == "poisoned" else honest


@cache
def cpu_scores(count: int, kind: str, rule: ScoringRule) -> ShardScores:
    """What the compiled kernels say."""
    return score_shard(*shard_of(count, kind).arguments, rule)


def assert_same(ours: ShardScores, theirs: ShardScores, tolerance: float) -> None:
    """The same decisions, and numbers within a tolerance."""
    for name in ("valid", "borderline", "contested"):
        assert torch.equal(getattr(theirs, name).cpu(), getattr(ours, name)), name
    numbers = {"score": (theirs.score, ours.score), "weight": (theirs.weight, ours.weight)}
    numbers |= {"consensus": (theirs.consensus, ours.consensus)}
    numbers |= {name: (theirs.terms[name], ours.terms[name]) for name in ours.terms}
    assert theirs.terms.keys() == ours.terms.keys()
    for name, (there, here) in numbers.items():
        where = lambda why, name=name: f"{name}: {why}"  # noqa: E731
        # To a zero row all others are equally far; of many rows now and then two tie for the k-th place.
        loose = name.startswith("local_outlier_factor") and (len(here) >= 64 or ours.rule is LITERAL)
        within = 3e-3 if loose else tolerance
        torch.testing.assert_close(there.cpu(), here, rtol=within, atol=within, equal_nan=True, msg=where)


@pytest.mark.parametrize("kind", ["noise", "copies", "cabal", "poisoned"])
@pytest.mark.parametrize(
    "count", [8, 16, *(pytest.param(count, marks=pytest.mark.gpu) for count in (30, 64, 256))]
)
def test_score_shard__every_term_is_that_of_the_cpu(elsewhere: Elsewhere, count: int, kind: str) -> None:
    shard = shard_of(count, kind)
    # Cosines near 1 make the leak's denominator a small difference.
    tolerance = 1e-4 if kind == "copies" else 2e-5
    for rule in (HARDENED, LITERAL):
        assert_same(cpu_scores(count, kind, rule), elsewhere.scores(shard, rule), tolerance)


def test_score_shard__means_flags_and_a_dealers_mask_are_heeded_there_too(elsewhere: Elsewhere) -> None:
    shard = shard_of(12, "poisoned")
    parts = torch.arange(66) != 65
    options: dict[str, Any] = {
        "means": shard.inverse[:, :, 0].mean(1),
        "scored": parts & (torch.arange(66) != 0),
        "parts": parts,
        "valid": score_shard(*shard.arguments).valid.roll(1, 0),
    }
    ours = score_shard(*shard.arguments, **options)
    assert ours.contested.any()
    assert_same(ours, elsewhere.scores(shard, **options), 2e-5)


def test_cross_fit_and_shaping__are_those_of_the_cpu(device: str) -> None:
    shard = shard_of(9, "noise")
    scores = score_shard(*shard.arguments)
    arguments = shard.mask, shard.inverse, scores.valid, scores.score

    def fitted(to: str) -> Tensor:
        mask, inverse, valid, score = (x.to(to) for x in arguments)
        return cross_fitted_weights(mask, inverse, valid, score, torch.Generator().manual_seed(1)).cpu()

    torch.testing.assert_close(fitted(device), fitted("cpu"), rtol=0.0, atol=1e-3)
    shaped = (
        fit_shaping(scores.consensus.to(to)).apply(scores.consensus.to(to)).cpu() for to in ("cpu", device)
    )
    torch.testing.assert_close(*shaped, rtol=0.0, atol=1e-5)
