"""Items as a model answers them whole and in two parts: what the network itself looks at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.evaluation.errors import EvaluationError
from node.evaluation.metrics.rows import directions


@dataclass(frozen=True, slots=True)
class Parts:
    """Answers to full items, to one mask of each and to its inverse, as they came."""

    full: NDArray[np.floating]
    """[n, d]."""
    mask: NDArray[np.floating]
    """[n, d]."""
    inverse: NDArray[np.floating]
    """[n, d]."""
    share: NDArray[np.floating]
    """[n]: the mask's share of its item, within (0, 1)."""

    def __post_init__(self) -> None:
        shapes = {np.shape(one) for one in (self.full, self.mask, self.inverse)}
        if len(shapes) != 1 or np.ndim(self.full) != 2 or np.shape(self.share) != (len(self.full),):
            raise EvaluationError(
                f"full, mask and inverse of shapes {sorted(shapes)}, shares of {np.shape(self.share)}: give "
                "one row an item in each, and one share an item"
            )
        if len(self.full) < 2 or not ((self.share > 0) & (self.share < 1)).all():
            raise EvaluationError(
                f"{len(self.full)} items: give two or more, each with its mask's share, above 0 and below 1"
            )

    def centred(self) -> Centred:
        """As the rule centres them: hat(hat(x) - mean of all hat(x)), over every answer that is finite."""
        given = [directions(one) for one in (self.full, self.mask, self.inverse)]
        known = sum(int(one.answered.sum()) for one in given)
        mean = sum(one.rows.sum(0, dtype=np.float64) for one in given) / max(known, 1)  # [d]
        placed = [directions(np.where(one.answered[:, None], one.rows - mean, 0.0)) for one in given]
        full, mask, inverse = (one.rows for one in placed)
        counted = placed[0].answered & placed[1].answered & placed[2].answered
        return Centred(full, mask, inverse, counted)


@dataclass(frozen=True, slots=True)
class Centred:
    """Unit rows [n, d] around the encoder's own mean; zeros without a direction."""

    full: NDArray[np.float32]
    mask: NDArray[np.float32]
    inverse: NDArray[np.float32]
    counted: NDArray[np.bool_]
    """[n]: items all three of whose views were answered."""
