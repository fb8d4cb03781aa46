"""MiniLM read at each of its layers and pooled in two or three ways: relatives, yet encoders of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from node.encoders.encoder import View, as_texts, unit_rows
from node.encoders.minilm import BATCH_VIEWS, MiniLm, sentence_model

READINGS: Final = (
    *((layer, pooling) for layer in range(6, -1, -1) for pooling in ("mean", "max")),
    (6, "cls"),
)
"""(layer, pooling), layer 0 being the word pieces themselves. The first token is read at the end only: before
the last layer its vector is nearly the same for every text."""
_REMEMBERED: Final = 2
"""Lists of views whose vectors are kept, so that all layers and poolings share one pass of the model."""
_remembered: dict[bytes, dict[str, NDArray[np.float32]]] = {}


def name_of(layer: int, pooling: str) -> str:
    """`minilm-6-mean`."""
    return f"minilm-{layer}-{pooling}"


class MiniLmLayer:
    """all-MiniLM-L6-v2 after some of its 6 layers. Raises EncoderError if the extra is not installed."""

    dimensions = 384

    def __init__(self, layer: int, pooling: str) -> None:
        self.name = name_of(layer, pooling)

    def fingerprint(self) -> bytes:
        """Digest of the model's files and the name, which says layer and pooling."""
        return blake3(MiniLm().fingerprint() + self.name.encode()).digest()

    def embed(self, views: Sequence[View]) -> NDArray[np.float32]:
        """[n, 384] float32 at unit norm; the pass over the model takes about 15 ms a view."""
        return _vectors(as_texts(views, self.name))[self.name]


def _vectors(views: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """By name, the vectors [n, 384] of every layer and pooling."""
    key = blake3(repr(tuple(views)).encode()).digest()
    if key not in _remembered:
        while len(_remembered) >= _REMEMBERED:
            del _remembered[next(iter(_remembered))]
        _remembered[key] = _embed(views)
    return _remembered[key]


def _embed(views: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    import torch

    tokenize, states_of = _model()
    rows = {
        name_of(*reading): np.zeros((len(views), MiniLmLayer.dimensions), dtype=np.float32)
        for reading in READINGS
    }
    # Views of like length together: padding costs as much as words.
    order = sorted(range(len(views)), key=lambda index: (len(views[index]), index))
    with torch.inference_mode():
        for start in range(0, len(order), BATCH_VIEWS):
            batch = order[start : start + BATCH_VIEWS]
            tokens = tokenize([views[index] for index in batch])
            present = tokens["attention_mask"][:, :, None].bool()  # [b, T, 1]
            states = states_of(tokens)
            for layer, pooling in READINGS:
                rows[name_of(layer, pooling)][batch] = _pooled(states[layer], present, pooling).numpy()
    return {name: unit_rows(vectors) for name, vectors in rows.items()}


def _pooled(state: Any, present: Any, pooling: str) -> Any:
    """Vectors of tokens [b, T, 384], present [b, T, 1] -> one vector a view [b, 384]."""
    import torch

    if pooling == "cls":
        return state[:, 0]
    if pooling == "max":
        return torch.where(present, state, -torch.inf).amax(1)
    return torch.where(present, state, 0.0).sum(1) / present.sum(1)


@cache
def _model() -> tuple[Callable[[list[str]], Any], Callable[[Any], Any]]:
    """The tokenizer, and what gives the hidden states [layer][b, T, 384] of its tokens."""
    transformer: Any = sentence_model()
    bert, tokenizer = transformer[0].auto_model, transformer.tokenizer
    limit = transformer.max_seq_length

    def tokenize(views: list[str]) -> Any:
        return tokenizer(views, padding=True, truncation=True, max_length=limit, return_tensors="pt")

    def states_of(tokens: Any) -> Any:
        return bert(**tokens, output_hidden_states=True).hidden_states

    return tokenize, states_of
