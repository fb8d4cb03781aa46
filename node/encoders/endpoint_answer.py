"""What an OpenAI-compatible server answers, made rows, and when it says to ask again."""

from __future__ import annotations

import binascii
from base64 import b64decode
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from node.encoders.answers import checked_rows
from node.encoders.encoder import EncoderError

RETRY_AFTER_S_MAX: Final = 600.0


class _Row(msgspec.Struct):
    index: int
    embedding: list[float] | str
    """Numbers, or little-endian float32 in base64."""


class _Answer(msgspec.Struct):
    data: list[_Row]


def answered_rows(data: bytes, views: int, url: str) -> NDArray[np.float32]:
    """[views, d] float32 of the body of an answer, in the order of the views. Raises EncoderError."""
    try:
        found = sorted(msgspec.json.decode(data, type=_Answer).data, key=lambda row: row.index)
        rows: list[Any] = [_numbers(row.embedding) for row in found]
    except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error, ValueError) as error:
        raise EncoderError(
            f"{url} does not answer as an OpenAI-compatible server ({error}): "
            "check that it serves /v1/embeddings"
        ) from None
    if [row.index for row in found] != list(range(views)):
        raise EncoderError(f"{url} answers {len(found)} rows for {views} views: check the server's log")
    return checked_rows(rows, views, url)


def retry_after_s(value: str | None) -> float | None:
    """Seconds of a Retry-After header, a number or a date (RFC 9110), 0 to RETRY_AFTER_S_MAX; else None."""
    if value is None:
        return None
    try:
        wait_s = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return None
        wait_s = (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(wait_s, 0.0), RETRY_AFTER_S_MAX) if wait_s == wait_s else None


def _numbers(embedding: list[float] | str) -> list[float] | NDArray[np.float32]:
    if isinstance(embedding, str):
        return np.frombuffer(b64decode(embedding, validate=True), "<f4")
    return embedding
