"""Discrimination G as the rule has it: a mask must find its own item's inverse (InfoNCE)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.evaluation.metrics.estimate import Estimate, estimate_from, resampled
from node.evaluation.metrics.parts import Parts

TEMPERATURES: Final = (0.05, 0.07, 0.1, 0.15)
"""Those of `scoring.HARDENED_1`: more than the rule of new networks has, so that figures stay comparable."""
BLOCK_ITEMS: Final = 64
"""Items among which a mask must find its own inverse; a remainder joins the last block."""
BLOCK_ITEMS_MIN: Final = 8
"""Blocks with fewer answered items are left out."""


def discrimination(parts: Parts, seed: int = 0) -> Estimate:
    """G = max(0, 1 - min over temperatures of InfoNCE(m <-> v) / ln B), rows centred. In [0, 1], 0 is chance.

    The interval resamples items, each with the loss it has in its block. `scoring.discrimination` has the
    same for a shard.
    """
    losses = _normalised_losses(parts)  # [n, T]
    if len(losses) == 0:
        return Estimate(0.0, 0.0, 0.0)
    drawn = [losses[places].mean(1) for places in resampled(len(losses), seed)]  # [r, T] each
    return estimate_from(float(_best(losses.mean(0)[None])[0]), _best(np.concatenate(drawn)))


def _best(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean losses by temperature, [r, T] -> [r]: a temperature is each model's best."""
    return np.asarray(np.maximum(0.0, 1.0 - losses.min(1)))


def _normalised_losses(parts: Parts) -> NDArray[np.float64]:
    """Mean InfoNCE of both directions over ln B, of each item answered in a block large enough, [n, T]."""
    centred = parts.centred()
    scales = np.array(TEMPERATURES)[:, None, None]
    found = []
    for block in _blocks(len(centred.counted)):
        some = np.flatnonzero(centred.counted[block]) + block.start
        if len(some) < BLOCK_ITEMS_MIN:
            continue
        cosine = centred.mask[some].astype(np.float64) @ centred.inverse[some].T  # [b, d] @ [d, b]
        scaled = (cosine - 1) / scales  # [T, b, b]: at most 0, so that no exponential overflows
        likely = np.exp(scaled)
        own = np.diagonal(scaled, axis1=1, axis2=2)  # [T, b]
        loss = (np.log(likely.sum(2)) + np.log(likely.sum(1))) / 2 - own
        found.append(loss.T / np.log(len(some)))
    return np.concatenate(found) if found else np.empty((0, len(TEMPERATURES)))


def _blocks(items: int) -> list[slice]:
    count = max(1, items // BLOCK_ITEMS)
    ends = [BLOCK_ITEMS * block for block in range(1, count)] + [items]
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
