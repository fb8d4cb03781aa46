"""Any sentence-transformers model, by the path of its folder or by name."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from node.encoders.answers import checked_rows
from node.encoders.encoder import EncoderError, View, as_texts, unit_rows
from node.encoders.sentence_folder import check_weights, model_folder

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

BATCH_VIEWS: Final = 64
_HASHED_BYTES_MAX: Final = 64 << 20


class SentenceTransformerModel:
    """Weights are read from safetensors only, and no code comes with a model."""

    def __init__(self, target: str, threads: int = 1, device: str = "auto") -> None:
        self.name = f"sentence-transformers:{target}"
        self._target = target
        self._threads = threads
        self._device = device
        self._model: SentenceTransformer | None = None

    @property
    def dimensions(self) -> int:
        """Of its own space."""
        found = self._loaded().get_embedding_dimension()
        if found is None:
            raise EncoderError(f"{self.name} does not say how many dimensions it has: use another model")
        return int(found)

    def fingerprint(self) -> bytes:
        """Digest of the name and the folder's files, large ones by size and beginning."""
        _check_installed()
        folder = model_folder(self._target)
        hasher = blake3(self._target.encode())
        for path in sorted(one for one in folder.rglob("*") if one.is_file()):
            hasher.update(f"{path.relative_to(folder)} {path.stat().st_size}".encode())
            with path.open("rb") as file:
                hasher.update(file.read(_HASHED_BYTES_MAX))
        return hasher.digest()

    def embed(self, views: Sequence[View]) -> NDArray[np.float32]:
        """[n, d] float32 at unit norm."""
        if not views:
            return np.zeros((0, self.dimensions), dtype=np.float32)
        model = self._loaded()
        answer = model.encode(as_texts(views, self.name), batch_size=BATCH_VIEWS, show_progress_bar=False)
        return unit_rows(checked_rows(answer, len(views), self.name, self.dimensions))

    def _loaded(self) -> SentenceTransformer:
        if self._model is None:
            self._model = self._load()
        return self._model

    def _load(self) -> SentenceTransformer:
        _check_installed()
        folder = model_folder(self._target)
        check_weights(folder)
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        # The bar of weights that lie here already; whoever runs this shows one of its own.
        no_bar: Callable[[], None] = logging.disable_progress_bar
        no_bar()
        torch.set_num_threads(self._threads)
        device = None if self._device == "auto" else self._device
        try:
            return SentenceTransformer(
                str(folder),
                device=device,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
        except Exception as error:
            raise EncoderError(
                f"{self.name} cannot be loaded from {folder} ({type(error).__name__}: {error}): give a model "
                "that sentence-transformers loads without code of its own"
            ) from error


def _check_installed() -> None:
    if importlib.util.find_spec("sentence_transformers") is None:
        raise EncoderError(
            "sentence-transformers is not installed: run `pip install 'deltamesh[sentence-transformers]'`"
        )
