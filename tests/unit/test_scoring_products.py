"""Products of rows: all of them at any size, in any number of blocks, and not a number beyond the last."""

from __future__ import annotations

import ctypes
import faulthandler
import mmap
import os
import warnings
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch

from scoring.centring import centred, looked_over
from scoring.compiled.rows import products, squared_distances
from scoring.role_distances import squared_distances as of_encoders
from scoring.views import Role, Views

Floats = npt.NDArray[np.float32]

torch.set_num_threads(1)


def rows_of(count: int, dimension: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal((count, dimension), np.float32)


# Of 200 rows 640 coordinates are taken at a time, of 8 rows all of them.
@pytest.mark.parametrize(("count", "others"), [(1, 1), (3, 6), (5, 2), (8, 8), (200, 5), (17, 200)])
@pytest.mark.parametrize("dimension", [1, 15, 16, 40, 1000, 1300])
def test_products__of_any_size_are_those_of_numpy(count: int, others: int, dimension: int) -> None:
    a, b = rows_of(count, dimension), rows_of(others, dimension, 1)
    found = np.full((count, others), np.nan, np.float32)
    products(a, b, found)
    np.testing.assert_allclose(found, a.astype(np.float64) @ b.T.astype(np.float64), rtol=0, atol=2e-4)


@pytest.mark.parametrize("count", [1, 3, 6, 200])
@pytest.mark.parametrize("dimension", [1, 15, 1300])
def test_squared_distances__of_any_size_are_those_of_numpy(count: int, dimension: int) -> None:
    rows = rows_of(count, dimension)
    found = np.full((1, count, count), np.nan, np.float32)
    squared_distances(rows[None].copy(), found)
    exact = rows.astype(np.float64)
    expected = ((exact[:, None] - exact[None]) ** 2).sum(2)
    np.fill_diagonal(expected, 1)
    np.testing.assert_allclose(found[0], expected, rtol=1e-5)
    assert np.array_equal(found[0], found[0].T)


def at_the_end_of_memory(rows: Floats) -> Floats:
    """A copy of the rows beyond whose last number nothing may be read."""
    page = mmap.PAGESIZE
    size = -(-rows.nbytes // page) * page
    memory = mmap.mmap(-1, size + page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    nothing_allowed = 0
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(address + size), page, nothing_allowed) == 0
    copy = np.frombuffer(memory, np.float32, rows.size, size - rows.nbytes).reshape(rows.shape)
    copy[:] = rows
    return copy


def outcome(call: Callable[[], object]) -> int:
    """How a child process ends that makes the call: 0, or minus the signal that killed it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child calls compiled code and ends
        child = os.fork()
    if child == 0:
        faulthandler.disable()
        call()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("dimension", [16, 21, 1024])
def test_products__read_and_write_nothing_beyond_the_last_row(count: int, dimension: int) -> None:
    a, b = (at_the_end_of_memory(rows_of(count, dimension, seed)) for seed in (0, 1))
    found = at_the_end_of_memory(np.zeros((count, count), np.float32))
    products(a[:1].copy(), b[:1].copy(), np.empty((1, 1), np.float32))  # compiled here, not in the child
    assert outcome(lambda: products(a, b, found)) == 0
    assert outcome(lambda: ctypes.string_at(a.ctypes.data, a.nbytes + 4)) < 0  # there is a fence


def test_squared_distances__of_some_encoders_lie_as_kernels_are_compiled_for() -> None:
    full = torch.randn(6, 8, 32, generator=torch.Generator().manual_seed(1))
    nothing = torch.empty(6, 8, 0, 32)
    views = Views(full, nothing, nothing, torch.zeros(8, dtype=torch.bool))
    look = looked_over(views)
    answers = centred(views, look.means, look)[Role("full", 0)]
    assert answers.kept_distances is not None
    for encoders in ([0, 1, 2, 3, 4, 5], [1, 2, 4], [5]):
        ((part, some),) = of_encoders(answers, np.array(encoders))
        assert part == slice(0, 8)
        assert some.flags.c_contiguous
        assert np.array_equal(some, answers.kept_distances[np.ix_(range(8), encoders, encoders)])
