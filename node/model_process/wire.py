"""What a node and its model's process say to each other: length-prefixed msgpack over pipes."""

from __future__ import annotations

import msgspec


class Setup(msgspec.Struct, frozen=True):
    """The first frame: which model, and how it runs."""

    model: str
    reference: str
    cache_dir: str | None
    threads: int
    batch_views: int
    answer_within_s: float
    """A wave that takes longer is given up between two batches."""


class Request(msgspec.Struct, frozen=True):
    """Embed these views."""

    views: list[str | bytes]


class Response(msgspec.Struct, frozen=True):
    """Progress before the model is ready, then one answer a request: rows or an error."""

    anchors: tuple[int, int] | None = None
    """(embedded, all) of those the model is aligned on."""
    rows: bytes | None = None
    """Little-endian float32 [views, 1024]; empty says that the model is ready."""
    error: str | None = None
