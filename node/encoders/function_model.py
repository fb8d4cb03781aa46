"""Anybody's Python function as a model: `package.module:function`, or `path/to/file.py:function`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from node.encoders.answering_model import AnsweringModel
from node.encoders.encoder import EncoderError
from node.encoders.user_code import load_function

ViewT = TypeVar("ViewT")


class EncodeFunction(Protocol[ViewT]):
    """What a function has to be to run as an encoder; annotate yours with it and let a type checker look.

    `EncodeFunction[str]` for text, `[bytes]` for raw bytes, `[NDArray[np.uint8]]` for images [h, w, 3],
    `[NDArray[np.float32]]` for sound [samples] at 16 kHz and series [steps, channels].
    """

    def __call__(self, views: list[ViewT], /) -> Any:
        """One row of numbers a view, float32 [n, d]; the same row for the same view.

        Arrays, tensors on any device and lists of lists will do. Lengths do not matter, directions do; a row
        with NaN or infinity is sent as withheld. What it raises costs one wave.
        """


class FunctionModel(AnsweringModel):
    """An `EncodeFunction`, loaded when it is first asked."""

    def __init__(self, target: str, modality: str = "text") -> None:
        super().__init__(target, modality)
        self._function: Callable[[list[Any]], Any] | None = None

    def _answer(self, views: list[Any]) -> Any:
        if self._function is None:
            self._function = load_function(self.name)
        try:
            return self._function(views)
        except Exception as error:
            raise EncoderError(f"{self.name} failed: {type(error).__name__}: {error}") from error
