"""Encoders aligned on a network's own past texts, as they can be once it has certified some."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from node.bench.encoders import native_encoder
from node.bench.errors import BenchError
from node.bench.views import native_answers
from node.encoders import DEFAULT_REFERENCE, DIMENSIONS
from node.encoders.alignment import Alignment, fit, lift
from node.encoders.encoder import unit_rows


class AlignedOn(Enum):
    """The texts on which encoders are brought into the shared space."""

    ANCHORS = "anchors"
    """Those everybody has offline: how a network starts."""
    PAST = "past"
    """The network's own past items: how it goes on."""


def aligned_on_by_name(name: str) -> AlignedOn:
    """The texts of that name. Raises BenchError, naming those there are."""
    try:
        return AlignedOn(name)
    except ValueError:
        known = ", ".join(texts.value for texts in AlignedOn)
        raise BenchError(f"Nothing is aligned on `{name}`: use one of {known}.") from None


def answers_aligned_on(
    past: slice, views: Sequence[str], encoders: Sequence[str], cache_dir: Path, known: Sequence[str] = ()
) -> NDArray[np.float32]:
    """Answers [N, V, D] to views, each encoder rotated onto the reference on the views of the slice `past`.

    unit((native - own mean) R), R by Procrustes onto the reference's centred rows, both means over the past.
    No mean of the reference is added: scoring takes each encoder's own mean away again, but not what another
    mean did to the lengths in between. Only vectors in the encoders' own spaces are kept on disk, those of
    views that are among the texts `known` with all of these, for every draw of them.
    """
    raised = lift(native_encoder(DEFAULT_REFERENCE).dimensions)
    reference = _native(views, known, DEFAULT_REFERENCE, cache_dir)[past] @ raised
    target = _centred(unit_rows(_centred(reference)))  # [P, D]
    rows = np.empty((len(encoders), len(views), DIMENSIONS), dtype=np.float32)
    for row, name in zip(rows, encoders, strict=True):
        native = _native(views, known, name, cache_dir)
        row[:] = fit(native[past], target, Alignment.PROCRUSTES).apply(native)
    return rows


def _native(views: Sequence[str], known: Sequence[str], name: str, cache_dir: Path) -> NDArray[np.float32]:
    """One encoder's vectors [V, d] of the views."""
    place = {text: row for row, text in enumerate(known)}
    others = [view for view in views if view not in place]
    rows = native_answers(others, name, cache_dir)
    if len(others) == len(views):
        return rows
    place |= {view: len(known) + row for row, view in enumerate(others)}
    every = np.concatenate([native_answers(known, name, cache_dir), rows])
    return every[[place[view] for view in views]]


def _centred(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(rows - rows.mean(axis=0, dtype=np.float64), dtype=np.float32)
