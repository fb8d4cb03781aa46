"""Galleries of vectors drawn from a seed, and the moments of an epoch for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from node.gallery import Entry, Gallery, Origin
from node.gallery.limits import DIMENSIONS
from protocol.codec import encode
from protocol.epochs.learnt import STEPS_PER_UNIT, ConsensusMoments, Group
from protocol.items import canonical_text, item_id

NETWORK_ID = b"\x07" * 32
Rows = npt.NDArray[np.float32]


def drawn(count: int, seed: int = 0, spread: float = 1.0) -> Rows:
    """[count, 1024] rows of norm .8 around a common direction."""
    draw = np.random.default_rng(seed)
    rows = draw.normal(size=(count, DIMENSIONS)) * spread + draw.normal(size=DIMENSIONS)
    return (0.8 * rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def id_of(text: str) -> bytes:
    return item_id(canonical_text(text))


def entry(
    text: str,
    vector: npt.NDArray[np.float32],
    *,
    round_: int = 0,
    epoch: int | None = 0,
    space: int | None = None,
    source: str = "a" * 64,
    origin: Origin = Origin.STORE,
) -> Entry:
    """A text's entry; shaped ones name a space and no epoch."""
    return Entry(
        id_of(text), origin, source, round_, 0, epoch if space is None else None, space, text,
        vector.astype("<f4").tobytes(),
    )  # fmt: skip


def entries(rows: Rows, prefix: str = "item", **facts: object) -> list[Entry]:
    """One entry a row, named by its number."""
    return [entry(f"{prefix} {n}", row, **facts) for n, row in enumerate(rows)]  # type: ignore[arg-type]


def gallery_of(folder: Path, offered: Sequence[Entry], collection: str = "all") -> Gallery:
    """A gallery in a folder with these entries in one collection."""
    gallery = Gallery.open(folder / "g.sqlite", create=True)
    gallery.bind(NETWORK_ID, "text")
    gallery.make_collection(collection)
    gallery.add(collection, offered)
    return gallery


def moments_of(rows: Rows, *, centred: bool, other: Rows | None = None) -> bytes:
    """Canonical moments learnt from these vectors; `other` are those centred the other way, known by mean."""
    steps = np.round(rows.astype(np.float64) * STEPS_PER_UNIT)
    products = (steps.T @ steps)[np.triu_indices(DIMENSIONS)].astype("<i8").tobytes()
    groups = [_group(steps), Group(0, b"") if other is None else _group(np.round(other * STEPS_PER_UNIT))]
    first, second = groups if centred else reversed(groups)
    return encode(ConsensusMoments(first, second, products))


def texts_of(items: Iterable[object]) -> list[str]:
    """Previews of neighbours."""
    return [one.item.preview for one in items]  # type: ignore[attr-defined]


def _group(steps: npt.NDArray[np.float64]) -> Group:
    return Group(len(steps), steps.sum(axis=0).astype("<i8").tobytes())
