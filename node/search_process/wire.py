"""What the node and its search process say to each other: length-prefixed msgpack over pipes."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec


class SearchSetup(msgspec.Struct, frozen=True):
    """The first frame: what is searched, and how much of it."""

    store: str
    blobs: str
    gallery: str
    """The search's own file: whatever it holds follows from the store."""
    genesis: bytes
    alignment: str
    """Folder of fitted maps, for a reference that is not its own space."""
    items_max: int
    """Newest items that can be found."""


class Find(msgspec.Struct, frozen=True, tag="find"):
    """The k items nearest to a text, an item or a vector: one of the three is given."""

    k: int
    space: str
    text: str | None = None
    item_id: bytes | None = None
    vector: bytes | None = None
    """1,024 float32, little endian, in the space asked."""
    from_round: int | None = None
    to_round: int | None = None
    """The first round left out."""
    source: str | None = None
    """Beginning of the key of the dealer that brought an item."""


class Projection(msgspec.Struct, frozen=True, tag="projection"):
    """Where the newest items lie on the map of a space, or where these do."""

    limit: int
    space: str
    item_ids: tuple[bytes, ...] = ()


class Follow(msgspec.Struct, frozen=True, tag="follow"):
    """Take in what was certified since, for about so long."""

    within_s: float


Request: TypeAlias = Find | Projection | Follow


class Hit(msgspec.Struct, frozen=True):
    """One item that was found."""

    item_id: bytes
    score: float
    """Cosine in the answer's space."""
    preview: str
    round: int
    shard: int
    source: str
    certificate: bytes | None
    """Digest of the report that was certified."""


class Found(msgspec.Struct, frozen=True):
    """Hits, best first, and how they were found."""

    space: str | None
    """None where nothing could be an answer."""
    method: str
    recall: float | None
    searched: int
    is_consensus: bool
    """Whether the probe is a consensus embedding: that of an item."""
    model: str | None
    """What embedded the probe here, where it is none."""
    hits: tuple[Hit, ...]


class Point(msgspec.Struct, frozen=True):
    """One item on the map."""

    item_id: bytes
    x: float
    y: float
    round: int
    preview: str


class Drawn(msgspec.Struct, frozen=True):
    """Points of one space, newest first."""

    space: str | None
    points: tuple[Point, ...]
    items: int
    """How many there are to draw in all."""


class Followed(msgspec.Struct, frozen=True):
    """How far the search has come."""

    items: int
    """That can be found now."""
    added: int
    left: int
    """Rounds still to be taken in: follow again."""


class Reason(StrEnum):
    """Why a request is refused."""

    INVALID = "invalid"
    """It asks for what cannot be."""
    UNKNOWN_ITEM = "unknown_item"
    UNKNOWN_SPACE = "unknown_space"
    MIXED_SPACES = "mixed_spaces"
    """The vectors cannot be brought into one space."""


class Refused(msgspec.Struct, frozen=True):
    """Whose fault it is, and the sentence for them."""

    reason: Reason
    message: str


class Response(msgspec.Struct, frozen=True):
    """One of these is there; none says that the process is ready."""

    found: Found | None = None
    drawn: Drawn | None = None
    followed: Followed | None = None
    refused: Refused | None = None
    error: str | None = None
    """What is not the asker's fault."""
