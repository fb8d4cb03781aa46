"""Kernels for the CPU, compiled by numba on first use and kept on disk.

torch cannot fuse: on the CPU each of its steps reads and writes all answers. These kernels work on rows that
fit a core's cache and subtract before they square, so that no digits cancel. Each has a twin in torch for
other devices, and tests hold the two together.

A kernel calls nothing from another file: numba's cache knows only the file a kernel stands in, so that a
change elsewhere would leave stale machine code behind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar

import numba
from torch import Tensor

_P = ParamSpec("_P")
_R = TypeVar("_R")

_FAST_MATH: Final = {"reassoc", "contract", "nsz"}
"""Sums may be reordered, so that they fill vector registers. Never nnan or ninf: poisoned rows are found by
comparing with NaN and Inf."""


def compiled(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Compile on first use, without Python's lock held; cached on disk where a folder can be written."""
    return _compiled(function, _FAST_MATH)


def compiled_in_order(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """The same without reordering: what is symmetric as it is written is so to the last bit."""
    return _compiled(function, _FAST_MATH - {"reassoc"})


def _compiled(function: Callable[_P, _R], fast_math: set[str]) -> Callable[_P, _R]:
    options: dict[str, Any] = {"nogil": True, "fastmath": fast_math, "error_model": "numpy"}
    try:
        kernel: Callable[_P, _R] = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # nowhere to write: compiled again in each process
        kernel = numba.njit(**options)(function)
    return kernel


def serves(x: Tensor) -> bool:
    """Whether kernels compiled for the CPU can work on this tensor."""
    return x.device.type == "cpu"
