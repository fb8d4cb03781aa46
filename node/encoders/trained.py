"""A model that `deltamesh encoder train` wrote, as an encoder: `trained:FOLDER`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from node.encoders.encoder import EncoderError, View, answer_rows

if TYPE_CHECKING:
    from node.training.models import EmbeddingModel

_FILES = ("model.json", "weights.safetensors")


class TrainedModel:
    """Loaded when it is first used: torch and its weights cost a second."""

    def __init__(self, target: str, threads: int = 1, modality: str = "text") -> None:
        self.name = f"trained:{target}"
        self._modality = modality
        self._folder = Path(target)
        self._threads = threads
        self._model: EmbeddingModel | None = None

    @property
    def dimensions(self) -> int:
        """Of its own space, or of the shared one if it has learnt from a network."""
        return self.loaded().dimensions

    @property
    def is_lifted(self) -> bool:
        """Whether its rows lie in the shared space, so that no map is fitted for it."""
        return self.loaded().lift is not None

    def fingerprint(self) -> bytes:
        """Digest of its two files."""
        hasher = blake3()
        for name in _FILES:
            try:
                hasher.update(blake3((self._folder / name).read_bytes()).digest())
            except OSError as error:
                raise EncoderError(
                    f"{self._folder / name} cannot be read ({error.strerror}): give the folder that "
                    "`deltamesh encoder train` wrote"
                ) from error
        return hasher.digest()

    def embed(self, views: Sequence[View]) -> NDArray[np.float32]:
        """[n, dimensions] float32 at unit norm; zeros for a view without a word. Raises EncoderError."""
        from node.training.errors import TrainingError

        try:
            return self.loaded().embed(views)
        except TrainingError as error:
            raise EncoderError(str(error)) from error

    def encode(self, views: Sequence[View]) -> NDArray[np.float32]:
        """The same as answers, where it is lifted: a row without a direction becomes the first axis."""
        return answer_rows(self.embed(views))

    def loaded(self) -> EmbeddingModel:
        """The model itself. Raises EncoderError."""
        if self._model is None:
            import torch

            from node.training.errors import TrainingError
            from node.training.folder import load_model

            torch.set_num_threads(self._threads)
            try:
                self._model = load_model(self._folder)
            except TrainingError as error:
                raise EncoderError(str(error)) from error
            if self._model.modality != self._modality:
                raise EncoderError(
                    f"{self.name} embeds {self._model.modality}, and {self._modality} is asked of it: "
                    f"train one with `deltamesh encoder train --modality {self._modality}`"
                )
        return self._model
