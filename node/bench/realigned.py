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
from node.encoders.alignment import Alignment, fit
from node.encoders.catalogue import LiftedEncoder


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
    past: slice, views: Sequence[str], encoders: Sequence[str], cache_dir: Path
) -> NDArray[np.float32]:
    """Answers [N, V, D] to views, each encoder rotated onto the reference on the views of the slice `past`.

    The rotation is Procrustes'; only vectors in the encoders' own spaces are kept on disk.
    """
    reference = LiftedEncoder(native_encoder(DEFAULT_REFERENCE))
    target = reference.encode(views[past])  # [P, D]
    rows = np.empty((len(encoders), len(views), DIMENSIONS), dtype=np.float32)
    for row, name in zip(rows, encoders, strict=True):
        if name == DEFAULT_REFERENCE:
            row[:] = reference.encode(views)
            continue
        native = native_answers(views, name, cache_dir)
        fitted = fit(native[past], target, Alignment.PROCRUSTES)
        row[:] = fitted.apply(native)
    return rows
