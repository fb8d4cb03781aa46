"""Batches of the challenge pool, what a strategy answers to their waves, and the arrays scoring takes."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from node.corpus import load_challenge_pool
from node.encoders import DIMENSIONS
from node.encoders.strategy import AnswerStrategy, WaveAnswer
from protocol.batch import PROBES, Batch, Role, plan_batch

ITEMS = 64
MASKS = 2
WAVES = (1, 2, 3)


def batch_of(seed: int) -> Batch:
    """64 items of the default pool."""
    pool = load_challenge_pool(None)
    chosen = np.random.default_rng(seed).choice(len(pool), ITEMS, replace=False)
    secret = sha256(str(seed).encode()).digest()
    return plan_batch(secret, [pool[index].encode() for index in chosen], [], MASKS)


def play(batch: Batch, strategy: AnswerStrategy) -> dict[int, WaveAnswer]:
    """Ask the three waves in order."""
    history: dict[int, WaveAnswer] = {}
    for wave in WAVES:
        views = tuple(view.data.decode() for view in batch.waves[wave - 1])
        history[wave] = WaveAnswer(views, strategy.answer(wave, views, dict(history)))
    return history


def slabs_of(batch: Batch, history: dict[int, WaveAnswer]) -> tuple[NDArray[np.float32], ...]:
    """Answers in the shape scoring takes: full [I, D], mask and inverse [I, K, D]."""
    slabs = {
        Role.FULL: np.full((ITEMS, 1, DIMENSIONS), np.nan, dtype=np.float32),
        Role.MASK: np.full((ITEMS, MASKS, DIMENSIONS), np.nan, dtype=np.float32),
        Role.INVERSE: np.full((ITEMS, MASKS, DIMENSIONS), np.nan, dtype=np.float32),
    }
    for wave in WAVES:
        for view, row in zip(batch.waves[wave - 1], history[wave].answers, strict=True):
            if view.role not in PROBES:
                slabs[view.role][view.item, view.mask] = row
    return slabs[Role.FULL][:, 0], slabs[Role.MASK], slabs[Role.INVERSE]
