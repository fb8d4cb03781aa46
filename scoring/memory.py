"""Where answers lie in memory and how many are worked on at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

CHUNK_NUMBERS: Final = 1 << 16
"""float32 numbers of one chunk on the CPU: a quarter of a megabyte, which leaves room in a core's L2 cache."""


class Strided(NamedTuple):
    """A CPU tensor [..., D] for compiled kernels: row (i, j, ...) starts at number i * steps[0] + ...."""

    numbers: npt.NDArray[np.float32]
    """All numbers between the tensor's first and last."""
    steps: tuple[int, ...]


def strided(x: Tensor) -> Strided:
    """The numbers of a float32 tensor as they lie; copied only if a row's own are apart."""
    if x.shape[-1] > 1 and x.stride(-1) != 1:
        x = x.contiguous()
    steps = x.stride()[:-1]
    extent = 0
    if x.numel():
        extent = x.shape[-1] + sum(step * (size - 1) for step, size in zip(steps, x.shape, strict=False))
    flat = torch.as_strided(x.detach(), (extent,), (1,))
    return Strided(flat.numpy(), tuple(steps))


def slices_of(count: int, step: int) -> Iterator[slice]:
    """Cut `count` into slices of `step`, the last one shorter."""
    return (slice(start, min(start + step, count)) for start in range(0, count, step))
