"""Answers about items, their embeddings, and what lies near them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from node.client.answers.base import DIMENSIONS, Answer, Digest, vector_of

if TYPE_CHECKING:
    from node.client.answers.base import Vector


class ItemEmbedding(Answer, frozen=True):
    """A vector of one space."""

    space: str
    """`raw`, or `epoch N`: whose transform shaped it."""
    vector: str | tuple[float, ...]
    """As it travelled: base64 of little-endian float32, or numbers."""
    dimensions: int = DIMENSIONS

    @property
    def values(self) -> Vector:
        """Float32 [1024]. Raises BadAnswerError where it is none."""
        return vector_of(self.vector)


class Item(Answer, frozen=True):
    """One submitted or scored item."""

    item_id: Digest
    state: str
    modality: str
    text: str | None
    submitted_ms: int | None
    round: int | None
    shard: int | None
    epoch: int | None
    certificate: Digest | None
    """Digest of the report that is certified."""
    embedding: ItemEmbedding | None


class Proof(Answer, frozen=True):
    """What binds an item's raw vector to a certificate; to be checked, not to be believed."""

    network_id: Digest
    item_id: Digest
    round: int
    shard: int
    epoch: int
    position: int
    items: int
    vector: str
    """Base64 of 4,096 bytes: raw, little-endian float32."""
    merkle_proof: Annotated[tuple[Digest, ...], msgspec.Meta(max_length=64)]
    header: str
    """Base64 of the Report statement's envelope."""
    certificate: str
    """Base64 of the canonical Certificate."""


class EmbeddedItem(Answer, frozen=True):
    """Where one embedding comes from."""

    item_id: Digest
    round: int
    shard: int
    certificate: Digest
    served: str
    """`repeat`, or `round` where one was awaited."""


class EmbeddedDatum(Answer, frozen=True):
    """One vector of an answer in OpenAI's shape."""

    index: int
    embedding: str | tuple[float, ...]


class Usage(Answer, frozen=True):
    """As OpenAI counts; deltamesh's tokens are words."""

    prompt_tokens: int
    total_tokens: int


class Origin(Answer, frozen=True):
    """What deltamesh adds to OpenAI's shape."""

    network_id: Digest
    space: str
    epoch: int
    items: tuple[EmbeddedItem, ...]


class EmbeddingList(Answer, frozen=True, tag_field="object", tag="list"):
    """The answer to POST /v1/embeddings."""

    data: tuple[EmbeddedDatum, ...]
    model: str
    usage: Usage
    deltamesh: Origin


class Job(Answer, frozen=True, tag_field="object", tag="job"):
    """An embedding under way."""

    id: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{1,128}\Z")]
    status: str
    """`queued`, `dealt`, `done` or `failed`."""
    done: int
    """Different items that are certified."""
    total: int
    created_ms: int
    expires_ms: int
    response: EmbeddingList | None = None
    error: dict[str, Any] | None = None


class Neighbour(Answer, frozen=True):
    """One hit of a search."""

    item_id: Digest
    score: float
    preview: str | None
    round: int | None
    shard: int | None
    certificate: str | None


class SearchResult(Answer, frozen=True):
    """Nearest first."""

    space: str | None
    """None where nothing could be an answer."""
    method: str
    recall: float | None
    searched: int
    certified: bool
    neighbours: tuple[Neighbour, ...]
