"""The request and response of `POST /v1/embeddings`, as OpenAI's, with what the network adds."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from node.api.embedding.answer import MODEL
from node.api.embedding.jobs import Encoding, Served
from node.api.embedding.limits import INPUTS_MAX
from node.api.errors import ErrorDetail
from protocol.report import DIMENSIONS

_TEXT: Final = {"type": "string", "minLength": 1}
_Input = Annotated[
    Any,
    WithJsonSchema(
        {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": INPUTS_MAX}]}
    ),
]
"""Checked by hand, since a list of token numbers deserves a sentence of its own."""


class EmbeddingRequest(BaseModel):
    """What is to be embedded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: _Input = Field(
        description="A text or a list of texts; of another modality than text, files as data URLs or base64. "
        "What is submitted becomes public."
    )
    model: str = Field(
        default=MODEL, max_length=200, description="`deltamesh`, the network's name or its id."
    )
    encoding_format: Encoding = Encoding.FLOAT
    dimensions: int | None = Field(
        default=None,
        strict=True,
        description=f"{DIMENSIONS} or nothing.",
        json_schema_extra={"enum": [DIMENSIONS]},
    )
    user: str | None = Field(default=None, max_length=1_000, description="Accepted, and ignored.")


class Embedding(BaseModel):
    """One vector."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str = Field(
        description=f"{DIMENSIONS} numbers, or base64 of {4 * DIMENSIONS} bytes: float32, little-endian."
    )


class Usage(BaseModel):
    """Words of the canonical texts; units of masking of other modalities."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt_tokens: int
    total_tokens: int


class CertifiedItem(BaseModel):
    """Where an input's embedding comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    item_id: str
    round: int
    shard: int
    certificate: str = Field(description="Digest of the certified report: /v1/certificates/{digest}.")
    served: Served


class Origin(BaseModel):
    """The network's part of a response."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network_id: str
    space: str = Field(
        description="Vectors of one space can be compared with each other, and with no others."
    )
    epoch: int = Field(description="Whose transform the space is made by.")
    public: Literal[True] = Field(description="The inputs are public in the reports of their rounds.")
    items: list[CertifiedItem]


class EmbeddingResponse(BaseModel):
    """The embeddings in the order of the inputs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: Usage
    deltamesh: Origin


class JobAnswer(BaseModel):
    """How far a job is, and its response when it is done."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    object: Literal["job"] = "job"
    status: Literal["queued", "dealt", "done", "failed"] = Field(
        description="queued: nothing of it is known to be in a round; dealt: some item is, or is certified; "
        "done; failed: a round certified an item without an embedding."
    )
    done: int = Field(description="Different items that are certified.")
    total: int = Field(description="Different items.")
    created_ms: int
    expires_ms: int = Field(description="When the job is forgotten; its items stay.")
    response: EmbeddingResponse | None = None
    error: ErrorDetail | None = None
