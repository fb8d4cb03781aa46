"""The `wordllama` adapter: the mean of static word-piece vectors, offline, from the files in its wheel."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from node.encoders.encoder import EncoderError, View, as_texts, unit_rows

if TYPE_CHECKING:
    from wordllama.inference import WordLlamaInference

MODEL_DIMENSIONS: Final = 256
"""Dimensions of the model in the wheel. Its first 64 or 128 (Matryoshka) are models of their own."""
_MODEL_FILES: Final = (
    f"weights/l2_supercat_{MODEL_DIMENSIONS}.safetensors",
    "tokenizers/l2_supercat_tokenizer_config.json",
)


class WordVectors:
    """`wordllama` cut to its first 64, 128 or 256 dimensions. Raises EncoderError if it is not installed."""

    def __init__(self, dimensions: int) -> None:
        self.name = f"wordllama-{dimensions}"
        self.dimensions = dimensions

    def fingerprint(self) -> bytes:
        """Digest of the model's files and the dimensions kept."""
        return blake3(_files_digest() + self.dimensions.to_bytes(2, "little")).digest()

    def embed(self, views: Sequence[View]) -> NDArray[np.float32]:
        """[n, dimensions] float32: the mean of a view's word-piece vectors at unit norm, or zeros."""
        if not views:
            return np.zeros((0, self.dimensions), dtype=np.float32)
        # Cutting the pooled vector equals pooling cut ones, which is what the model's own trunc_dim does.
        pooled = np.asarray(
            _model().embed(as_texts(views, self.name)), dtype=np.float32
        )  # [n, MODEL_DIMENSIONS]
        return unit_rows(np.nan_to_num(pooled[:, : self.dimensions]))


@cache
def _model() -> WordLlamaInference:
    """The whole model, loaded once a process and shared by all its cuts."""
    folder = _package_folder()
    # Its loader would otherwise ask a model hub for what is missing.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with _root_logger_untouched():
        from wordllama import WordLlama
    try:
        model = WordLlama.load(cache_dir=folder, dim=MODEL_DIMENSIONS, disable_download=True)
    except FileNotFoundError as error:
        raise EncoderError(f"wordllama's model files are missing ({error}): reinstall wordllama.") from error
    # Its tokenizer has no pre-tokenizer: every whole view counts as one word and would be remembered with its
    # pieces, ten thousand of them. A view is seen once; the memory was 30 MB and more for nothing.
    model.tokenizer.model._resize_cache(0)
    return model


def _package_folder() -> Path:
    found = importlib.util.find_spec("wordllama")
    if found is None or found.origin is None:
        raise EncoderError("wordllama is not installed: run `pip install wordllama`.")
    return Path(found.origin).parent


@cache
def _files_digest() -> bytes:
    hasher = blake3()
    for name in _MODEL_FILES:
        path = _package_folder() / name
        try:
            hasher.update(blake3(path.read_bytes()).digest())
        except OSError as error:
            raise EncoderError(f"{path} cannot be read ({error.strerror}): reinstall wordllama.") from error
    return hasher.digest()


@contextlib.contextmanager
def _root_logger_untouched() -> Iterator[None]:
    """wordllama calls logging.basicConfig on import, which does nothing if the root logger has a handler."""
    root, placeholder = logging.getLogger(), logging.NullHandler()
    root.addHandler(placeholder)
    try:
        yield
    finally:
        root.removeHandler(placeholder)
