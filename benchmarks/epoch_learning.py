"""What a validator computes once an epoch beside its record: `python benchmarks/epoch_learning.py`.

An epoch of 60 shard-rounds of 76 encoders and 256 items, the most that moments take up; then the transform
of whoever reads. Medians, one thread (`OMP_NUM_THREADS=1`).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import numpy.typing as npt
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from node.epochs.learning import ShardVectors, learn_from
from protocol.epochs.learnt import NOTHING_LEARNT, STEPS_PER_UNIT, moments_from
from scoring.shaping import shaping_from_moments

ROUNDS, ENCODERS, ITEMS, DIMENSIONS = 60, 76, 256, 1024


def shard(draw: np.random.Generator) -> ShardVectors:
    """Unit consensus vectors and short means of random encoders."""
    keys = [bytes([number]) * 32 for number in sorted(draw.choice(250, ENCODERS, replace=False))]
    consensus = draw.normal(size=(ITEMS, DIMENSIONS)).astype(np.float32)
    consensus /= np.linalg.norm(consensus, axis=1, keepdims=True)
    means = (draw.normal(size=(ENCODERS, DIMENSIONS)) / 64).astype(np.float32)
    return ShardVectors(keys, means, consensus)


def products_of(data: bytes) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and mean outer product of the centred vectors."""
    moments = moments_from(data)
    rows = moments.centred.rows
    products = np.zeros((DIMENSIONS, DIMENSIONS))
    products[np.triu_indices(DIMENSIONS)] = np.frombuffer(moments.products, "<i8")
    products += np.triu(products, 1).T
    total = np.frombuffer(moments.centred.total, "<i8")
    return total / (rows * STEPS_PER_UNIT), products / (rows * STEPS_PER_UNIT**2)


def main() -> None:
    """Print medians in seconds, and sizes in bytes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    torch.set_num_threads(1)
    draw = np.random.default_rng(0)
    shards = [shard(draw) for _ in range(ROUNDS)]
    keys = {key for one in shards for key in one.encoders}
    learnt = learn_from(NOTHING_LEARNT, keys, True, shards)
    learning, shaping = [], []
    for _ in range(repeat):
        began = perf_counter()
        learnt = learn_from(learnt, keys, True, shards)
        learning.append(perf_counter() - began)
        mean, products = (torch.from_numpy(one) for one in products_of(learnt.moments))
        began = perf_counter()
        shaping_from_moments(mean, products)
        shaping.append(perf_counter() - began)
    print(f"learn from {ROUNDS} shard-rounds: {median(learning):.2f} s")
    print(f"means of {len(keys)} encoders: {len(learnt.means)} bytes; moments: {len(learnt.moments)} bytes")
    print(f"transform from moments: {median(shaping):.2f} s")


if __name__ == "__main__":
    main()
