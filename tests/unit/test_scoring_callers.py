"""score_shard called strangely: any layout, type and size is scored alike or refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from scoring import HARDENED, ScoringError, compiled, local_outlier_factor, score_shard
from tests.support.scores import same
from tests.support.synthetic_encoders import honest_shard

torch.set_num_threads(1)

ANY_ITEMS = replace(HARDENED, items_min=2)
SHARD = honest_shard([0.9, 1.2, 1.6, 2.0, 2.5], items=65, dimension=40)


def with_gaps(rows: Tensor) -> Tensor:
    """Every other number of a tensor twice as wide."""
    wide = torch.full((*rows.shape, 2), torch.nan)
    wide[..., 0] = rows
    return wide[..., 0]


def inside(rows: Tensor) -> Tensor:
    """The end of a tensor of NaN that is larger along every axis."""
    larger = torch.full([size + 1 for size in rows.shape], torch.nan)
    end = larger[tuple(slice(1, None) for _ in rows.shape)]
    return end.copy_(rows)


def turned(rows: Tensor) -> Tensor:
    """The same numbers with the first axis fastest."""
    axes = tuple(range(rows.ndim))[::-1]
    return rows.permute(axes).contiguous().permute(axes)


def read_only(rows: Tensor) -> Tensor:
    numbers = rows.numpy().copy()
    numbers.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch cannot promise to leave it alone; scoring does
        return torch.from_numpy(numbers)


def items_first(rows: Tensor) -> Tensor:
    return rows.transpose(0, 1).contiguous().transpose(0, 1)


@pytest.mark.parametrize(
    "laid_out", [with_gaps, inside, turned, items_first, read_only, Tensor.double, Tensor.requires_grad_]
)
def test_score_shard__says_the_same_of_any_layout(laid_out: Callable[[Tensor], Tensor]) -> None:
    *answers, share = SHARD.arguments
    means = SHARD.full.mean(1)
    plain = score_shard(*SHARD.arguments, means=means)
    full, mask, inverse = (laid_out(rows.clone()) for rows in answers)
    other = score_shard(full, mask, inverse, laid_out(share.clone()), means=laid_out(means.clone()))
    assert same(plain, other)
    assert torch.equal(full.float(), SHARD.full)


def test_score_shard__one_row_stretched_over_encoders_or_items_is_as_many_copies() -> None:
    full, mask, inverse, share = SHARD.arguments
    for axis in (0, 1):
        thin = [rows.narrow(axis, 0, 1) for rows in (full, mask, inverse)]
        sizes = [tuple(full.shape[axis] if at == axis else -1 for at in range(rows.ndim)) for rows in thin]
        wide = [rows.expand(size) for rows, size in zip(thin, sizes, strict=True)]
        plain = score_shard(wide[0].contiguous(), wide[1].contiguous(), wide[2].contiguous(), share)
        assert same(score_shard(wide[0], wide[1], wide[2], share), plain)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_score_shard__half_precision_is_scored_as_float32_of_it(dtype: torch.dtype) -> None:
    *answers, share = SHARD.arguments
    full, mask, inverse = (rows.to(dtype) for rows in answers)
    assert same(
        score_shard(full, mask, inverse, share),
        score_shard(full.float(), mask.float(), inverse.float(), share),
    )


@pytest.mark.parametrize("name", ["full", "mask", "inverse"])
@pytest.mark.parametrize("dtype", [torch.int64, torch.complex64])
def test_score_shard__answers_that_are_no_floating_point_numbers_are_refused(
    name: str, dtype: torch.dtype
) -> None:
    full, mask, inverse = (
        rows.to(dtype) if name == one else rows
        for one, rows in zip(("full", "mask", "inverse"), SHARD.arguments[:3], strict=True)
    )
    with pytest.raises(ScoringError, match=f"{name} is {dtype}"):
        score_shard(full, mask, inverse, SHARD.share)


@pytest.mark.parametrize("shape", [(0, 64, 8), (3, 64, 0)])
def test_score_shard__of_no_encoder_or_no_dimension_is_refused(shape: tuple[int, int, int]) -> None:
    encoders, items, dimension = shape
    parts = torch.zeros(encoders, items, 1, dimension)
    with pytest.raises(ScoringError, match="at least one encoder and one dimension"):
        score_shard(torch.zeros(shape), parts, parts, torch.full((items, 1), 0.5))


@pytest.mark.parametrize(
    ("probation", "message"),
    [
        (torch.zeros(5), "probation is torch.float32"),
        (torch.zeros(4, dtype=torch.bool), "probation has shape"),
    ],
)
def test_score_shard__probation_that_does_not_flag_each_encoder_is_refused(
    probation: Tensor, message: str
) -> None:
    with pytest.raises(ScoringError, match=message):
        score_shard(*SHARD.arguments, probation=probation)


@pytest.mark.parametrize("huge", [1.01, 1e19, -3e38])
def test_score_shard__means_that_are_none_of_unit_rows_are_refused(huge: float) -> None:
    means = torch.zeros(5, 40)
    means[3, 7] = huge
    with pytest.raises(ScoringError, match="means lie beyond 1"):
        score_shard(*SHARD.arguments, means=means)


def test_local_outlier_factor__of_other_types_is_refused() -> None:
    rows = torch.zeros(2, 3, 4)
    for wrong in ((rows.to(torch.complex64), None), (rows.long(), None), (rows, torch.ones(2, 3))):
        with pytest.raises(ScoringError, match="give rows of floating point numbers and valid of booleans"):
            local_outlier_factor(*wrong)


@pytest.mark.parametrize(
    ("count", "items", "masks", "dimension"),
    [
        (1, 64, 1, 7),
        (2, 65, 1, 16),
        (3, 2, 1, 1),
        (3, 127, 2, 7),
        (5, 9, 3, 16),
        (15, 64, 1, 33),
        (16, 17, 2, 100),
        (17, 130, 1, 7),
        (63, 8, 1, 17),
        (65, 33, 1, 24),
        (65, 3, 1, 2100),  # more numbers than are multiplied at a time
    ],
)
def test_score_shard__of_any_size_agrees_with_torch(
    count: int, items: int, masks: int, dimension: int
) -> None:
    draw = torch.Generator().manual_seed(count)
    views = torch.randn(1, items, 1 + 2 * masks, dimension, generator=draw)
    views[:, :, 0] = views[:, :, 1] + views[:, :, 1 + masks]
    views = normalize(views + 0.5 * torch.randn(count, *views.shape[1:], generator=draw), dim=3)
    views[count // 2, : items // 3] = torch.nan
    views[0, 0], views[-1, -1, 0] = 3e38, 0.0
    share = torch.full((items, masks), 0.5)
    arguments = views[:, :, 0], views[:, :, 1 : 1 + masks], views[:, :, 1 + masks :], share
    ours = score_shard(*arguments, ANY_ITEMS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "serves", lambda _: False)
        theirs = score_shard(*arguments, ANY_ITEMS)
    assert same(ours, theirs, tolerance=1e-4)
