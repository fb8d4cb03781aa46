"""What a node and its model's process say to each other: length-prefixed msgpack over pipes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec


class Setup(msgspec.Struct, frozen=True):
    """The first frame: which model, and how it runs."""

    model: str
    reference: str
    modality: str
    cache_dir: str | None
    threads: int
    answer_within_s: float
    """A wave that takes longer is given up between two batches."""
    slab: int
    """Descriptor of the memory that answers are written to, little-endian float32 [views, 1024]."""
    target: str = "reference"
    """What it is aligned to: reference or consensus."""
    learnt: str | None = None
    """The folder of the weights that it learns between rounds; none for a model that does not learn."""


class Encode(msgspec.Struct, frozen=True, tag="encode"):
    """Embed the views of a wave."""

    views: Sequence[Any]
    """`View`s, as they were given: msgpack tells text from bytes by itself."""


class Refit(msgspec.Struct, frozen=True, tag="refit"):
    """Go on fitting the map to the network's pairs, for so long."""

    folder: str
    """Of the pairs."""
    pairs: int
    """How many of the newest."""
    within_s: float
    begins: bool
    """The first step: read the pairs."""
    is_last: bool
    """Fit to what is embedded by now, if it is enough."""


class Learn(msgspec.Struct, frozen=True, tag="learn"):
    """Go on with a lesson from the network's pairs, for so long; begin one where none is under way."""

    folder: str
    """Of the pairs."""
    within_s: float
    is_last: bool
    """End it with what has been learnt by now."""


Request: TypeAlias = Encode | Refit | Learn


class Fitted(msgspec.Struct, frozen=True):
    """What became of a map: the mean cosine to the consensus, on pairs that were not fitted on."""

    before: float
    after: float
    is_taken: bool
    """It was better, and the model answers by it from now on."""
    pairs: int


class RefitProgress(msgspec.Struct, frozen=True):
    """How far a refit is: pairs embedded, pairs in all, and at the end what was fitted."""

    done: int
    total: int
    fitted: Fitted | None = None


class Lesson(msgspec.Struct, frozen=True):
    """What came of a lesson: the mean cosine to the consensus, on pairs that were not learnt from."""

    before: float
    after: float
    is_taken: bool
    """It was better, and the model answers with the new weights from now on."""
    pairs: int
    steps: int


class LearnProgress(msgspec.Struct, frozen=True):
    """A lesson under way, or what came of it."""

    learnt: Lesson | None = None


class Response(msgspec.Struct, frozen=True):
    """Progress before the model is ready, then an answer a request: rows in the slab, a step, or why not."""

    anchors: tuple[int, int] | None = None
    """(embedded, all) of those the model is aligned on."""
    rows: int | None = None
    """How many are in the slab; none says that the model is ready."""
    error: str | None = None
    refit: RefitProgress | None = None
    learn: LearnProgress | None = None
