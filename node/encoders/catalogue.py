"""The built-in encoders by name, aligned to the shared space of a reference."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from node.encoders.alignment import LIFT_DOMAIN, RIDGE_STRENGTH, AffineMap, Alignment, fit, lift
from node.encoders.alignment_store import store_map, stored_map
from node.encoders.anchors import anchor_texts, anchors_digest
from node.encoders.encoder import DIMENSIONS, Encoder, EncoderError, NativeEncoder, answer_rows
from node.encoders.ngram import HashedNgrams
from node.encoders.word_vectors import WordVectors

DEFAULT_REFERENCE: Final = "wordllama-256"


@dataclass(frozen=True, slots=True)
class _Entry:
    native: Callable[[], NativeEncoder]
    alignment: Alignment


_ENTRIES: Final[dict[str, _Entry]] = {
    "wordllama-256": _Entry(lambda: WordVectors(256), Alignment.PROCRUSTES),
    "wordllama-128": _Entry(lambda: WordVectors(128), Alignment.PROCRUSTES),
    "wordllama-64": _Entry(lambda: WordVectors(64), Alignment.PROCRUSTES),
    "ngram": _Entry(HashedNgrams, Alignment.RIDGE),
}
ENCODER_NAMES: Final = tuple(_ENTRIES)


@dataclass(frozen=True, slots=True)
class LiftedEncoder:
    """The reference itself: its own vectors under the fixed orthonormal lift."""

    native: NativeEncoder

    @property
    def name(self) -> str:
        """The name it is loaded by."""
        return self.native.name

    def encode(self, views: Sequence[str]) -> NDArray[np.float32]:
        """[n, DIMENSIONS] float32 at unit norm; cosines are those of the native space."""
        return answer_rows(self.native.embed(views) @ lift(self.native.dimensions))


@dataclass(frozen=True, slots=True)
class AlignedEncoder:
    """Any other encoder: its own vectors under a map fitted on anchors."""

    native: NativeEncoder
    map: AffineMap

    @property
    def name(self) -> str:
        """The name it is loaded by."""
        return self.native.name

    def encode(self, views: Sequence[str]) -> NDArray[np.float32]:
        """[n, DIMENSIONS] float32 at unit norm."""
        return self.map.apply(self.native.embed(views))


def load_encoder(name: str, reference: str = DEFAULT_REFERENCE, *, cache_dir: Path | None = None) -> Encoder:
    """A built-in encoder, aligned to the shared space that `reference` spans.

    With a `cache_dir` the fitted map is kept there, keyed by everything it depends on. Raises EncoderError
    for an unknown name, naming the nearest, and where a model's files are missing.
    """
    entry, reference_native = _entry(name), _entry(reference).native()
    if name == reference:
        return LiftedEncoder(reference_native)
    native = entry.native()
    key = _map_key(native, reference_native, entry.alignment)
    fitted = stored_map(cache_dir, name, key, native.dimensions) if cache_dir is not None else None
    if fitted is None:
        anchors = anchor_texts()
        target = LiftedEncoder(reference_native).encode(anchors)
        fitted = fit(native.embed(anchors), target, entry.alignment)
        if cache_dir is not None:
            store_map(cache_dir, name, key, fitted)
    return AlignedEncoder(native, fitted)


def _entry(name: str) -> _Entry:
    entry = _ENTRIES.get(name)
    if entry is None:
        near = difflib.get_close_matches(name, _ENTRIES, n=1, cutoff=0.0)
        raise EncoderError(
            f"There is no encoder `{name}`: use {near[0]} or another of {', '.join(_ENTRIES)}."
        )
    return entry


def _map_key(native: NativeEncoder, reference: NativeEncoder, alignment: Alignment) -> str:
    settings = repr((LIFT_DOMAIN, DIMENSIONS, RIDGE_STRENGTH, alignment.value, native.name, reference.name))
    parts = settings.encode() + native.fingerprint() + reference.fingerprint() + anchors_digest()
    return blake3(parts).hexdigest()[:32]
