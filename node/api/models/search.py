"""What a search takes and answers, and the map."""

from __future__ import annotations

import base64
from typing import Annotated, Final, Self

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from node.gallery.limits import DIMENSIONS, VECTOR_BYTES
from node.space import NEWEST

NEIGHBOURS_MAX: Final = 100
TEXT_CHARACTERS_MAX: Final = 16_384
SPACE_PATTERN: Final = r"^(newest|raw|[0-9]{1,15})$"
ROUND_MAX: Final = 1 << 53
_BASE64_CHARACTERS: Final = -(-VECTOR_BYTES // 3) * 4


def vector_bytes(value: object) -> bytes:
    """1,024 numbers, or base64 of their float32, as little-endian float32. Raises ValueError."""
    if isinstance(value, str):
        try:
            data = base64.b64decode(value, validate=True)
        except ValueError:
            raise ValueError("the vector is not base64") from None
        return _checked(data)
    if not isinstance(value, list) or len(value) != DIMENSIONS:
        raise ValueError(f"a vector is {DIMENSIONS} numbers, or base64 of {DIMENSIONS} little-endian float32")
    if not all(type(one) in (int, float) for one in value):
        raise ValueError("a vector holds numbers and nothing else")
    try:
        with np.errstate(over="ignore"):
            return _checked(np.array(value, np.float64).astype("<f4").tobytes())
    except OverflowError:
        raise ValueError("a vector holds float32: one number is too large") from None


def _checked(data: bytes) -> bytes:
    if len(data) != VECTOR_BYTES:
        raise ValueError(f"a vector is {DIMENSIONS} float32, {VECTOR_BYTES} bytes, not {len(data)}")
    row = np.frombuffer(data, "<f4")
    if not bool(np.isfinite(row).all()) or not row.any():
        raise ValueError("a vector holds finite numbers, not all of them zero")
    return data


_Id = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="An item's id, in hex.")]
Vector = Annotated[
    bytes,
    BeforeValidator(vector_bytes),
    WithJsonSchema(
        {
            "description": "In the space that is searched: numbers, or base64 of little-endian float32.",
            "anyOf": [
                {
                    "type": "array",
                    "items": {"type": "number"},
                    "minItems": DIMENSIONS,
                    "maxItems": DIMENSIONS,
                },
                {
                    "type": "string",
                    "contentEncoding": "base64",
                    "minLength": _BASE64_CHARACTERS,
                    "maxLength": _BASE64_CHARACTERS,
                },
            ],
        }
    ),
]


class Model(BaseModel):
    """What is sent is what is meant: an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Filters(Model):
    """Which items may be answers: those for which all holds that is said."""

    from_round: int | None = Field(None, ge=0, le=ROUND_MAX, strict=True)
    to_round: int | None = Field(
        None, ge=0, le=ROUND_MAX, strict=True, description="The first round left out."
    )
    source: str | None = Field(
        None, pattern=r"^[0-9a-f]{4,64}$", description="The dealer's key, or its beginning."
    )


class SearchRequest(Model):
    """What to look for: exactly one of `text`, `item_id` and `vector`."""

    text: str | None = Field(None, min_length=1, max_length=TEXT_CHARACTERS_MAX)
    item_id: _Id | None = None
    vector: Vector | None = None
    k: int = Field(10, ge=1, le=NEIGHBOURS_MAX, strict=True)
    space: str = Field(
        NEWEST, pattern=SPACE_PATTERN, description="newest, raw, or the number of the epoch that shapes it."
    )
    certified: bool = Field(
        False,
        strict=True,
        description="Have the network embed the text, which makes it public, and search by its consensus.",
    )
    filters: Filters = Filters()

    @model_validator(mode="after")
    def _one_probe(self) -> Self:
        given = [name for name in ("text", "item_id", "vector") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of text, item_id and vector, not {' and '.join(given) or 'none'}")
        if self.certified and self.text is None:
            raise ValueError("only a text can be certified: leave out `certified`")
        return self


class NeighbourAnswer(Model):
    """One item that was found."""

    item_id: str
    score: float = Field(description="Cosine with what was searched for, in the answer's space.")
    preview: str = Field(
        description="The beginning of a text; of other items what they are. Anybody's words."
    )
    round: int
    shard: int
    source: str = Field(description="Key of the dealer that put it into its round.")
    certificate: str | None = Field(description="Digest of the report that was certified.")


class SearchAnswer(Model):
    """The nearest items, best first."""

    space: str | None = Field(description="Where they were compared; null where nothing could be an answer.")
    method: str = Field(description="exact, or signs: a shortlist by signs of coordinates, ranked exactly.")
    recall: float | None = Field(description="Share of the ten nearest in a shortlist, as measured here.")
    searched: int = Field(description="Items that could have been answers.")
    certified: bool = Field(description="Whether what was searched for is a consensus embedding.")
    model: str | None = Field(description="What embedded the text here, where it is no item.")
    neighbours: tuple[NeighbourAnswer, ...]


class PointAnswer(Model):
    """One item on the map."""

    item_id: str
    x: float
    y: float
    round: int
    preview: str


class MapAnswer(Model):
    """Items along the two directions in which their space differs most. Compare those of one space only."""

    space: str | None = Field(description="null while there is nothing to draw.")
    items: int = Field(description="How many could be drawn.")
    points: tuple[PointAnswer, ...] = Field(description="The newest first.")
