"""Fitting a model to what its network has certified: pairs of its own vectors and consensus vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from node.encoders.alignment import RIDGE_STRENGTH, AffineMap, Alignment, fit
from node.encoders.encoder import unit_rows

PAIRS_MIN: Final = 1_000
"""Fewer pairs fit noise: 256 dimensions need several pairs each."""
REFERENCE_SHARE: Final = 0.3
"""Part of the reference in what is fitted to. Without it two of seven encoders that always lie 35 degrees off
the consensus turn the space by 57 degrees in 50 epochs, and on, where nobody runs the reference itself; with
it by 33 degrees, and hardly on. It costs newcomers no score (docs/measurements.md)."""
HELD_OUT_EVERY: Final = 5
"""About one pair in so many is not fitted on, and says whether the map is better."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a map is fitted."""

    how: Alignment
    ridge_strength: float
    """Of ridge alone."""


ROTATION: Final = Way(Alignment.PROCRUSTES, RIDGE_STRENGTH)
"""How models of one's own are aligned unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Refitted:
    """A map fitted to pairs, beside the one before it."""

    map: AffineMap
    before: float
    """Mean cosine of the old map's answers to the consensus, on pairs the new one has not seen."""
    after: float
    pairs: int

    @property
    def is_better(self) -> bool:
        """Whether the new map is worth taking."""
        return self.after > self.before


def refitted(
    before: AffineMap,
    native: NDArray[np.float32],
    vectors: NDArray[np.float32],
    reference: NDArray[np.float32],
    held_out: NDArray[np.bool_],
    way: Way,
) -> Refitted:
    """Fit native rows [n, d] to consensus vectors [n, DIMENSIONS] but for those held out; compare on these.

    `reference` [n, DIMENSIONS] has the reference's answers to the same items. Rows that are no numbers are
    passed over. Raises ValueError for fewer than ten pairs.
    """
    known = np.isfinite(native).all(axis=1) & (np.linalg.norm(vectors, axis=1) > 0)
    if not known.all():  # copies take 50 MiB
        native, vectors = native[known], vectors[known]
        reference, held_out = reference[known], held_out[known]
    if len(native) < 2 * HELD_OUT_EVERY or not held_out.any() or held_out.all():
        raise ValueError(f"{len(native)} pairs are too few to fit and to compare")
    some = ~held_out
    tried = fitted_to(before, native[some], vectors[some], reference[some], way)
    seen, target = native[held_out], vectors[held_out]
    return Refitted(
        # What was compared is what answers: a map of all pairs would be another one.
        tried,
        agreement(before.apply(seen), target),
        agreement(tried.apply(seen), target),
        len(native),
    )


def held_out_of(items: Sequence[bytes]) -> NDArray[np.bool_]:
    """Which of the items no map is fitted on: the same in every epoch, or the old map would know them."""
    return np.array([blake3(item).digest()[0] % HELD_OUT_EVERY == 0 for item in items], dtype=bool)


def fitted_to(
    before: AffineMap,
    native: NDArray[np.float32],
    vectors: NDArray[np.float32],
    reference: NDArray[np.float32],
    way: Way,
    reference_share: float = REFERENCE_SHARE,
) -> AffineMap:
    """The map that turns native rows into the directions of the consensus, where `before` lies on average.

    Fitted to (1 - share) hat(consensus) + share hat(reference - its mean): who follows the consensus alone
    follows whoever pulls at it, a little further each epoch.

    The consensus is made of answers less their encoder's mean, and the mean that is taken away is that of two
    epochs ago. So the mean of what is answered stays where it was, and so does the length of what is added to
    it; only the directions around it are fitted.
    """
    centre = reference.mean(axis=0, dtype=np.float64).astype(np.float32)
    target = (1 - reference_share) * unit_rows(vectors) + reference_share * unit_rows(reference - centre)
    found = fit(native, target, way.how, ridge_strength=way.ridge_strength)
    around = native - found.source_mean
    length = np.linalg.norm(around @ found.matrix)
    scale = np.linalg.norm(around @ before.matrix) / max(float(length), 1e-12)
    mean = (found.source_mean - before.source_mean) @ before.matrix + before.target_mean
    return AffineMap(
        found.source_mean, (found.matrix * scale).astype(np.float32), np.asarray(mean, dtype=np.float32)
    )


def agreement(answers: NDArray[np.float32], vectors: NDArray[np.float32]) -> float:
    """Mean cosine of answers [n, DIMENSIONS] less their own mean to consensus vectors [n, DIMENSIONS]."""
    mean = answers.mean(axis=0, dtype=np.float64).astype(np.float32)
    return float((unit_rows(answers - mean) * unit_rows(vectors)).sum(axis=1).mean())
