"""What all answers share, and vectors as they travel."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import msgspec

from node.client.errors import BadAnswerError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vector = npt.NDArray[np.float32]

DIMENSIONS: Final = 1024
VECTOR_BYTES: Final = 4 * DIMENSIONS

Digest = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Key = Digest
Terms = dict[str, float | None]
"""By name; None where the encoder had none."""


class Answer(msgspec.Struct, frozen=True):
    """Base of all answers."""


A = TypeVar("A", bound=Answer)


def vector_of(told: str | tuple[float, ...]) -> Vector:
    """Float32 [1024] of a vector as it travelled, finite. Raises BadAnswerError."""
    import numpy as np

    if isinstance(told, str):
        data = bytes_of(told)
        if len(data) != VECTOR_BYTES:
            raise BadAnswerError(f"a vector of {len(data)} bytes where {VECTOR_BYTES} belong")
        found = np.frombuffer(data, "<f4").astype(np.float32)
    else:
        if len(told) != DIMENSIONS:
            raise BadAnswerError(f"a vector of {len(told)} numbers where {DIMENSIONS} belong")
        with np.errstate(over="ignore"):
            found = np.array(told, np.float64).astype(np.float32)
    if not np.isfinite(found).all():
        raise BadAnswerError("a vector that is not finite: no embedding is")
    return found


def bytes_of(text: str) -> bytes:
    """Base64 as RFC 4648 has it, nothing else in it. Raises BadAnswerError."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadAnswerError(f"a field that should be base64 is none: {error}") from None
