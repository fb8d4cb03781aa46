"""What an encoder is: a name, and a function from views to unit vectors of the shared space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

DIMENSIONS: Final = 1024
"""Dimensions of the shared space; an answer is 4,096 bytes."""
NORM_MIN: Final = 1e-9
"""A row shorter than this has no direction."""


View: TypeAlias = str | bytes
"""What an encoder is asked to embed: text, or the canonical bytes of any other modality."""


class EncoderError(Exception):
    """An encoder cannot be loaded; the message says why and what to do."""


class Encoder(Protocol):
    """Embeds views into the shared space."""

    @property
    def name(self) -> str:
        """The name it is loaded by."""

    def encode(self, views: Sequence[View]) -> NDArray[np.float32]:
        """Embed views: [n, DIMENSIONS] float32, rows of unit norm, the same row for the same view."""


VIEWS_AT_ONCE: Final = 64
"""Most views a model is given in one call, unless it wants more."""


def views_at_once(model: object) -> int:
    """Most views in one call: what a model spread over servers or cards says, else VIEWS_AT_ONCE."""
    return int(getattr(model, "views_at_once", VIEWS_AT_ONCE))


@runtime_checkable
class WritingEncoder(Encoder, Protocol):
    """One that writes its answers where they are wanted, which spares a copy of them all."""

    def encode_into(self, views: Sequence[View], rows: NDArray[np.float32]) -> None:
        """Write what `encode` returns to `rows`, float32 [n, DIMENSIONS], of as many views."""


@runtime_checkable
class LendingEncoder(Encoder, Protocol):
    """One whose answers lie in memory that it shares, which spares a copy to whoever makes one at once."""

    def lend(self, views: Sequence[View]) -> NDArray[np.float32]:
        """What `encode` returns, good until the next call; the model may still write to it."""


class NativeEncoder(Protocol):
    """A model in a space of its own, before it is aligned to the shared one."""

    @property
    def name(self) -> str:
        """The name it is loaded by."""

    @property
    def dimensions(self) -> int:
        """Dimensions of its own space, at most DIMENSIONS for a reference."""

    def fingerprint(self) -> bytes:
        """A digest of everything its vectors depend on, without loading the model."""

    def embed(self, views: Sequence[View]) -> NDArray[np.float32]:
        """Embed views: [n, dimensions] float32, rows of unit norm; zeros for a view without a token."""


def as_texts(views: Sequence[View], name: str) -> list[str]:
    """The views, where all are text. Raises EncoderError: the model `name` knows no other modality."""
    texts = [view for view in views if isinstance(view, str)]
    if len(texts) != len(views):
        raise EncoderError(f"{name} embeds text, and was given views of another modality")
    return texts


def unit_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale each row to unit norm; rows too short to have a direction become zeros."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)  # [n, 1]
    scale = np.where(norms > NORM_MIN, 1.0 / np.maximum(norms, NORM_MIN), 0.0)
    return (rows * scale).astype(np.float32)


def answer_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit rows fit to be sent: a row without a direction becomes the first axis rather than zeros.

    No view is empty by protocol; this keeps one odd view from costing an encoder its whole answer.
    """
    return made_answers(np.array(rows, dtype=np.float32))


def made_answers(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same where they lie, float32 [n, d]: what they were is gone, and nothing is copied."""
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))  # [n]
    # Infinite is the norm of numbers too large to be squared. A norm of NaN stays: it says no answer.
    odd = (norms <= NORM_MIN) | np.isinf(norms)
    if odd.any():
        rows[odd], norms[odd] = 0.0, 1.0
        rows[odd, 0] = 1.0
    rows /= norms[:, None]
    return rows
