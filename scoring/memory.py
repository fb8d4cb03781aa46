"""Where answers lie in memory and how many are worked on at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from scoring import compiled

CHUNK_NUMBERS: Final = 1 << 17
"""float32 numbers of a chunk on the CPU: half a megabyte, half of a core's L2 cache."""
DEVICE_NUMBERS: Final = 1 << 24
"""float32 numbers of a chunk on other devices: 64 MB, or launching kernels takes longer than they do."""
PAIR_NUMBERS: Final = 12
"""float32 numbers of working memory that torch takes for a pair of rows."""


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


def cached_items(count: int, dimension: int) -> int:
    """Items whose `count` rows each stay in a core's cache; at least one."""
    return max(1, CHUNK_NUMBERS // (count * dimension))


def reserved(numbers: int) -> npt.NDArray[np.float32]:
    """Memory that starts where a cache line does: numpy's does not, and kernels then read two for one."""
    return torch.empty(numbers).numpy()


def shaped(memory: npt.NDArray[np.float32], *shape: int) -> npt.NDArray[np.float32]:
    """The first numbers of `memory` as a contiguous array: kernels are compiled for a layout."""
    return memory[: math.prod(shape)].reshape(shape)


def chunk_items(x: Tensor, count: int, max_bytes: int = 64 << 20, roles: int = 1) -> Iterator[Tensor]:
    """Cut the items of answers [N, I, D] for work on `count` encoders in so many roles; at least one each."""
    items, dimension = x.shape[1:]
    if compiled.serves(x):
        step = cached_items(count, dimension)
    else:
        rows = roles * count
        step = min(DEVICE_NUMBERS // (rows * dimension), max_bytes // (4 * rows * count * PAIR_NUMBERS))
    everything = torch.arange(items, device=x.device)
    return (everything[part] for part in slices_of(items, max(1, step)))


def chunk_encoders(x: Tensor) -> Iterator[slice]:
    """Cut the encoders of answers [N, I, D] for work by torch on all their items; at least one each."""
    encoders, items, dimension = x.shape
    return slices_of(encoders, max(1, DEVICE_NUMBERS // max(1, items * dimension)))
