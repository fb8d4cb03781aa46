"""Squared distances between the encoders' rows of one role, for the compiled kernels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from scoring.centring import Answers
from scoring.compiled import rows as kernels
from scoring.compiled.rows import Floats, Indices
from scoring.memory import cached_items, reserved, shaped, slices_of

_CHUNK_BYTES = 16 << 20
"""Distances handed out at a time; a single item's may be more."""


def squared_distances(answers: Answers, encoders: Indices) -> Iterator[tuple[slice, Floats]]:
    """Items and the squared distances [b, n, n] of their rows, norms on the diagonal, chunk after chunk.

    encoders [n] in increasing order. A chunk's memory may be that of the one before.
    """
    everyone, items, _ = answers.raw.shape
    count, kept = len(encoders), answers.kept_distances
    if kept is None:
        yield from _measured(answers, encoders, min(items, max(1, _CHUNK_BYTES // (4 * count * count))))
    elif count == everyone:
        yield slice(0, items), kept
    else:
        # One axis after the other: numpy lays an array of both at once out in another order, for which every
        # kernel would be compiled again, in a round.
        yield slice(0, items), kept.take(encoders, 1).take(encoders, 2)


def _measured(answers: Answers, encoders: Indices, step: int) -> Iterator[tuple[slice, Floats]]:
    """The same, `step` items at a time, whose rows pass through the cache a few at a time."""
    _, items, dimension = answers.raw.shape
    count, every = len(encoders), np.arange(items)
    squared = shaped(reserved(step * count * count), step, count, count)
    role = np.array([answers.place])
    cached = min(step, cached_items(count, dimension))
    memory = reserved(cached * count * dimension)
    for part in slices_of(items, step):
        here, out = every[part], squared[: part.stop - part.start]
        for few in slices_of(len(here), cached):
            rows = shaped(memory, 1, few.stop - few.start, count, dimension)
            answers.centre.gather(role, here[few], encoders, rows)
            kernels.squared_distances(rows[0], out[few])
        yield part, out
