"""Real encoders' answers to the views of a simulated network, computed once for all runs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.bench.encoders import MINILM_NAMES, available_names
from node.bench.views import answers_to

WAVES_KEPT: Final = 128
"""Lists of views whose answers stay in memory, of 42 rounds: 64 rows of 4 KiB of 12 encoders are 3 MiB."""
_CONTEXTUAL: Final = ("minilm-6-mean", "minilm-4-mean", "minilm-2-mean", "minilm-0-mean")
_MORE_BAGS: Final = ("wordllama-128", "ppmi-128", "chars-3", "word-pairs")
_BAGS: Final = ("wordllama-256", "wordllama-64", "lsa-256", "lsa-64", "ppmi-256", "chars-4", "words", "ngram")


def encoder_names() -> tuple[str, ...]:
    """Twelve: four layers of MiniLM, or without its extra four more bags of words, and eight of these."""
    with_minilm = set(MINILM_NAMES) <= set(available_names())
    return (*(_CONTEXTUAL if with_minilm else _MORE_BAGS), *_BAGS)


class Embeddings:
    """Rows of any of the encoders to any views; on disk as `node/bench/views.py` keeps them."""

    def __init__(self, names: Sequence[str], cache_dir: Path) -> None:
        self.names = tuple(names)
        self._cache_dir = cache_dir
        self._known: OrderedDict[tuple[str, ...], NDArray[np.float32]] = OrderedDict()

    def rows(self, name: str, views: Sequence[str]) -> NDArray[np.float32]:
        """[n, 1024] unit rows of one encoder. Raises BenchError, EncoderError."""
        key = tuple(views)
        if key not in self._known:
            self._known[key] = answers_to(key, self.names, self._cache_dir)
            while len(self._known) > WAVES_KEPT:
                self._known.popitem(last=False)
        rows: NDArray[np.float32] = self._known[key][self.names.index(name)]
        return rows
