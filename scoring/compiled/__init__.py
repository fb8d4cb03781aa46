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
from llvmlite import ir
from numba.core import codegen, types
from numba.extending import intrinsic
from torch import Tensor

_P = ParamSpec("_P")
_R = TypeVar("_R")

_FAST_MATH: Final = {"reassoc", "contract", "nsz"}
"""Sums may be reordered, so that they fill vector registers. Never nnan or ninf: poisoned rows are found by
comparing with NaN and Inf."""


def _with_wide_vectors() -> None:
    """Let numba use vectors of 512 bits, unless it was told which features to use.

    LLVM keeps to 256 bits even where a core multiplies 512 at a time, for the sake of the first such cores,
    whose clock fell. Those after them have VBMI2. No more than rounding hangs on it.
    """
    compiler: Any = codegen
    config: Any = numba.config
    features = compiler.get_host_cpu_features()
    if config.CPU_FEATURES is None and "+avx512vbmi2" in features.split(","):
        config.CPU_FEATURES = f"{features},-prefer-256-bit"


_with_wide_vectors()  # before the first kernel: numba then asks no more


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


def _prefetch(_context: Any, numbers: Any, _at: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        address = builder.bitcast(builder.gep(array.data, [arguments[1]]), byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        instruction = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        read, keep, data = (ir.Constant(flag, number) for number in (0, 3, 1))
        builder.call(instruction, [address, read, keep, data])
        return context.get_dummy_value()

    return types.void(numbers, types.int64), generate


prefetch: Any = intrinsic(_prefetch)
"""In a kernel, ask for the cache line of number `at` of a flat array, before it is needed. Reads nothing, so
that it may lie beyond the end. Changed, it changes no kernel that is kept on disk: change their files too."""


def serves(x: Tensor) -> bool:
    """Whether kernels compiled for the CPU can work on this tensor."""
    return x.device.type == "cpu"
