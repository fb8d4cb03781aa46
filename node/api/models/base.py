"""What all answers share: frozen models, hex, base64, and numbers that JSON can hold."""

from __future__ import annotations

from base64 import b64encode
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

HEX_PATTERN: Final = "^[0-9a-f]{64}$"

Hex = Annotated[str, Field(pattern=HEX_PATTERN)]
"""A key, a digest or an item's id: 32 bytes."""
Base64 = Annotated[str, Field(json_schema_extra={"contentEncoding": "base64"})]
Next = Annotated[int | None, Field(description="Pass it as `before` for the next page; null on the last.")]


class Answer(BaseModel):
    """Checked once, when it is made; nothing is left out of it and nothing added.

    NaN and the infinities, which JSON does not have, are written as null: such a field is `float | None`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


def base64(data: bytes) -> str:
    """Standard base64 with padding."""
    return b64encode(data).decode("ascii")
