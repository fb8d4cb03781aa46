"""What a gallery holds of one item, and what becomes of it when it is added."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from node.gallery.limits import DIMENSIONS, NORM_MAX, NORM_MIN, PREVIEW_CHARACTERS, SOURCE_CHARACTERS

UNIT_TOLERANCE: Final = 1e-2


class Origin(StrEnum):
    """Why a vector is believed. Nothing replaces a vector that is believed for a better reason."""

    STORE = "store"
    """This node saw it certified, or fetched and checked it."""
    BUNDLE = "bundle"
    """The report was verified when it was added."""
    EXPORT = "export"
    """The word of whoever wrote the file."""

    @property
    def certified(self) -> bool:
        """Whether a certificate was checked."""
        return self is not Origin.EXPORT


@dataclass(frozen=True, slots=True)
class Entry:
    """One item's consensus embedding: 1024 little-endian float32, raw or shaped.

    `epoch` is that of a raw vector's round; `space` the epoch whose transform a shaped one has undergone. One
    of the two is None. `source` is who brought the item: its dealer's key, or the name of a file.
    """

    item_id: bytes
    origin: Origin
    source: str
    round: int
    shard: int
    epoch: int | None
    space: int | None
    preview: str
    vector: bytes

    @property
    def rank(self) -> tuple[bool, bool, int, int]:
        """Of two entries of one item the greater stays; the older of equals."""
        return self.origin.certified, self.space is None, self.round, -self.shard


@dataclass(frozen=True, slots=True)
class StoredItem:
    """An item of a gallery without its vector."""

    row: int
    item_id: bytes
    origin: Origin
    source: str
    round: int
    shard: int
    epoch: int | None
    space: int | None
    preview: str


@dataclass(slots=True)
class Added:
    """What became of entries that were offered to a collection."""

    new: int = 0
    """Not in the gallery before."""
    replaced: int = 0
    """There before with an older vector, or one believed less."""
    joined: int = 0
    """In the gallery before, but not in this collection."""
    known: int = 0
    """There already, as good or better."""
    unusable: int = 0
    """Not finite, without direction, or longer than any consensus vector."""
    over_quota: dict[str, int] = field(default_factory=dict)
    """Left out, by source: the quota of the collection or of the source is reached."""

    def add(self, other: Added) -> None:
        """Count what became of further entries."""
        self.new += other.new
        self.replaced += other.replaced
        self.joined += other.joined
        self.known += other.known
        self.unusable += other.unusable
        for source, count in other.over_quota.items():
            self.over_quota[source] = self.over_quota.get(source, 0) + count

    @property
    def left_out(self) -> int:
        """Entries that met a quota."""
        return sum(self.over_quota.values())

    def document(self) -> Mapping[str, object]:
        """For JSON."""
        return {
            "new": self.new,
            "replaced": self.replaced,
            "joined": self.joined,
            "known": self.known,
            "unusable": self.unusable,
            "over_quota": dict(sorted(self.over_quota.items())),
        }


def usable(entries: Iterable[Entry]) -> tuple[list[Entry], int]:
    """The entries whose vectors can be searched, and how many cannot.

    A raw vector is finite and no longer than 1, a shaped one of unit norm; zeros have no direction.
    """
    offered = list(entries)
    if not offered:
        return [], 0
    rows: npt.NDArray[np.float32] = np.frombuffer(b"".join(one.vector for one in offered), "<f4")
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.linalg.norm(rows.reshape(-1, DIMENSIONS).astype(np.float64), axis=1)
        good = np.isfinite(norms) & (norms > NORM_MIN) & (norms < NORM_MAX)
    shaped = np.array([one.space is not None for one in offered])
    good &= ~shaped | (np.abs(norms - 1.0) < UNIT_TOLERANCE)
    kept = [one for one, here in zip(offered, good, strict=True) if here]
    return kept, len(offered) - len(kept)


def preview_of_text(text: str) -> str:
    """As much of an item's text as is kept to be shown."""
    return text if len(text) <= PREVIEW_CHARACTERS else text[: PREVIEW_CHARACTERS - 1] + "…"


def source_name(name: str) -> str:
    """A source as it is kept: printable, and no longer than it may be."""
    return "".join(c if c.isprintable() else "?" for c in name)[:SOURCE_CHARACTERS] or "?"
