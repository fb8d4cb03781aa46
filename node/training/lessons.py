"""The lessons of an encoder that runs: in its model's process, a little at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Final

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from node.encoders.catalogue import AlignedEncoder
from node.encoders.encoder import Encoder, EncoderError, View, answer_rows
from node.encoders.trained import TrainedModel
from node.pairs import Pairs
from node.store import Access
from node.training.errors import TrainingError
from node.training.folder import load_model, save_model, write_atomically
from node.training.learner import PAIRS_MAX, Learner, Learnt, Lesson
from node.training.models import EmbeddingModel, Lift

ORIGIN_NAME: Final = "origin"
"""Beside the learnt weights: a digest of the model they began as."""


class LearningEncoder:
    """An encoder: answers with the weights its learner holds. Its lessons are stepped from outside."""

    def __init__(self, encoder: Encoder, folder: Path, modality: str) -> None:
        """Go on from what `folder` holds of this very model, or begin. Raises EncoderError.

        `encoder` is a model of `trained:`; under a fitted map it becomes a lifted one.
        """
        self.name = encoder.name
        self._folder = folder
        self._modality = modality
        model, origin = _lifted(encoder)
        self._origin = origin
        self._learner = Learner(_taken_up(folder, origin) or model)
        self._lesson: Lesson | None = None

    def encode(self, views: Sequence[View]) -> NDArray[np.float32]:
        """[n, DIMENSIONS] float32 at unit norm. Raises EncoderError."""
        try:
            return answer_rows(self._learner.model.embed(views))
        except TrainingError as error:
            raise EncoderError(str(error)) from error

    def step(self, pairs_folder: Path, within_s: float, is_last: bool) -> Learnt | None:
        """Go on with a lesson for so long, a batch more at most; what came of it once it has ended.

        One begins where none is under way. `is_last` ends it with what has been learnt by now. Raises
        EncoderError, StoreError.
        """
        until_s = monotonic() + within_s
        try:
            if self._lesson is None:
                self._lesson = self._begun(pairs_folder)
                return None
            while not is_last and monotonic() < until_s:
                is_last = not self._lesson.step()
            return self._ended() if is_last else None
        except TrainingError as error:
            self._lesson = None
            raise EncoderError(f"{self.name} learns nothing: {error}") from error

    def _begun(self, pairs_folder: Path) -> Lesson:
        with Pairs.open(pairs_folder, access=Access.READ_ONLY) as pairs:
            items, consensus = pairs.newest(PAIRS_MAX)
        views = [item.decode() if self._modality == "text" else item for item in items]
        return self._learner.begin(views, consensus)

    def _ended(self) -> Learnt:
        assert self._lesson is not None
        learnt = self._learner.end(self._lesson)
        self._lesson = None
        if learnt.is_better:
            save_model(self._folder, self._learner.model)
            write_atomically(self._folder / ORIGIN_NAME, self._origin.encode())
        return learnt


def _lifted(encoder: Encoder) -> tuple[EmbeddingModel, str]:
    """The model of an encoder, lifted into the shared space, and a digest of it."""
    if isinstance(encoder, TrainedModel):
        return encoder.loaded(), encoder.fingerprint().hex()
    native = encoder.native if isinstance(encoder, AlignedEncoder) else None
    if not isinstance(encoder, AlignedEncoder) or not isinstance(native, TrainedModel):
        raise EncoderError(
            f"{encoder.name} cannot learn: only a model of `deltamesh encoder train` can, `trained:FOLDER`"
        )
    model = native.loaded()
    # Shares the network below; nobody else asks it anything once it learns.
    lifted = EmbeddingModel(model.made_of, model.net, Lift.of(encoder.map))
    return lifted, blake3(native.fingerprint()).hexdigest()


def _taken_up(folder: Path, origin: str) -> EmbeddingModel | None:
    """What was learnt before, if from the same model; None where there is none or it is damaged."""
    try:
        if (folder / ORIGIN_NAME).read_text("utf-8") != origin:
            return None
        return load_model(folder)
    except (OSError, UnicodeDecodeError, TrainingError):
        return None
