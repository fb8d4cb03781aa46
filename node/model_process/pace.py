"""How many views a model is given at once: as many as it embeds in a slice of what a wave may take."""

from __future__ import annotations

from typing import Final

VIEWS_FIRST: Final = 8
"""What a model is given before anything is known of its speed."""
SLICES: Final = 10
"""A batch is to take a tenth of the wave's time: a deadline is seen that soon after it has passed."""


class Pace:
    """Learns from every batch: a model that slows down is given less at once, and more only step by step."""

    def __init__(self, views_max: int, answer_within_s: float) -> None:
        self._views_max = max(1, views_max)
        self._slice_s = answer_within_s / SLICES
        self.views = min(VIEWS_FIRST, self._views_max)
        """How many views are to be given next, at least 1."""

    def took(self, views: int, elapsed_s: float) -> None:
        """So many views took so long."""
        fitting = int(views * self._slice_s / elapsed_s) if elapsed_s > 0 else self._views_max
        # Twice as many at most: the first views of a wave may be its shortest.
        self.views = max(1, min(fitting, 2 * self.views, self._views_max))
