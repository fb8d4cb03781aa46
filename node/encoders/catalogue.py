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

from node.encoders.alignment import (
    LIFT_DOMAIN,
    MINILM_RIDGE_STRENGTH,
    RIDGE_STRENGTH,
    AffineMap,
    Alignment,
    fit,
    lift,
)
from node.encoders.alignment_store import store_map, stored_map
from node.encoders.anchors import anchor_texts, anchors_digest
from node.encoders.encoder import (
    DIMENSIONS,
    Encoder,
    EncoderError,
    NativeEncoder,
    View,
    answer_rows,
    views_at_once,
)
from node.encoders.minilm import MiniLm
from node.encoders.models import own_model
from node.encoders.ngram import HashedNgrams
from node.encoders.own_alignment import Target, own_alignment
from node.encoders.refit import ROTATION, Way
from node.encoders.trained import TrainedModel
from node.encoders.word_vectors import WordVectors

DEFAULT_REFERENCE: Final = "wordllama-256"
ANCHORS_AT_ONCE: Final = 256
KNOWN_ANCHORS_MIN: Final = 0.9
"""Share of the anchors a model has to answer with numbers."""


@dataclass(frozen=True, slots=True)
class _Entry:
    native: Callable[[int], NativeEncoder]
    """From the threads it may use: only minilm uses more than one."""
    alignment: Alignment
    ridge_strength: float = RIDGE_STRENGTH


_ENTRIES: Final[dict[str, _Entry]] = {
    "wordllama-256": _Entry(lambda _: WordVectors(256), Alignment.PROCRUSTES),
    "wordllama-128": _Entry(lambda _: WordVectors(128), Alignment.PROCRUSTES),
    "wordllama-64": _Entry(lambda _: WordVectors(64), Alignment.PROCRUSTES),
    "ngram": _Entry(lambda _: HashedNgrams(), Alignment.RIDGE),
    "minilm": _Entry(MiniLm, Alignment.RIDGE, MINILM_RIDGE_STRENGTH),
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

    @property
    def views_at_once(self) -> int:
        """Most views in one call."""
        return views_at_once(self.native)

    def encode(self, views: Sequence[View]) -> NDArray[np.float32]:
        """[n, DIMENSIONS] float32 at unit norm; cosines are those of the native space."""
        return answer_rows(self.native.embed(views) @ lift(self.native.dimensions))


@dataclass(frozen=True, slots=True)
class AlignedEncoder:
    """Any other encoder: its own vectors under a map fitted on anchors."""

    native: NativeEncoder
    map: AffineMap
    way: Way = ROTATION
    """How its map was fitted, and the next one is."""

    @property
    def name(self) -> str:
        """The name it is loaded by."""
        return self.native.name

    @property
    def views_at_once(self) -> int:
        """Most views in one call."""
        return views_at_once(self.native)

    def encode(self, views: Sequence[View]) -> NDArray[np.float32]:
        """[n, DIMENSIONS] float32 at unit norm."""
        return self.map.apply(self.native.embed(views))


def load_encoder(
    name: str,
    reference: str = DEFAULT_REFERENCE,
    *,
    cache_dir: Path | None = None,
    threads: int = 1,
    target: Target = Target.REFERENCE,
    on_anchors: Callable[[int, int], None] = lambda _, __: None,
) -> Encoder:
    """An encoder, aligned to the shared space that `reference` spans, its model loaded.

    `name` is a built-in one, or says where a model of one's own is (`models.KINDS`). With a `cache_dir` the
    fitted map is kept there, keyed by everything it depends on; one that `encoder align` or a refit has left
    there for `target`, or else for the reference, goes first. Fitting takes as long as the model takes for
    3,000 anchors, minilm about a minute; `on_anchors` is told (done, all). Raises EncoderError for an unknown
    name, naming the nearest, where a model's files are missing, and for what a model does wrong.
    """
    encoder = _aligned(name, reference, cache_dir, threads, target, on_anchors)
    # A model loads when it is first used, minilm for ten seconds: the first wave would be answered too late.
    encoder.encode(("a",))
    return encoder


def load_native(name: str, threads: int = 1) -> NativeEncoder:
    """A model in its own space, loaded when it is first used. Raises EncoderError as `load_encoder` does."""
    own = own_model(name, threads)
    return _entry(name).native(threads) if own is None else own


def check_encoder(name: str) -> None:
    """Raise EncoderError where `load_encoder` would for want of a model or its files, without loading it."""
    if own_model(name, 1) is None:
        _entry(name).native(1).fingerprint()


def reference_model(name: str) -> NativeEncoder:
    """The reference of that name in its own space, not loaded yet. Raises EncoderError."""
    return _entry(name).native(1)


def _aligned(
    name: str,
    reference: str,
    cache_dir: Path | None,
    threads: int,
    target: Target,
    on_anchors: Callable[[int, int], None],
) -> Encoder:
    own = own_model(name, threads)
    if isinstance(own, TrainedModel) and own.is_lifted:
        return own
    entry = _entry(name) if own is None else _Entry(lambda _: own, Alignment.PROCRUSTES)
    reference_native = _entry(reference).native(threads)
    if name == reference:
        return LiftedEncoder(reference_native)
    native = entry.native(threads)
    chosen = None if cache_dir is None else own_alignment(cache_dir, target, native, reference_native)
    if chosen is not None:
        return AlignedEncoder(native, chosen.map, chosen.way)
    key, fitted = "", None
    if cache_dir is not None:  # telling models of one's own apart takes asking them
        key = _map_key(native, reference_native, entry)
        fitted = stored_map(cache_dir, name, key, native.dimensions)
    if fitted is None:
        anchors = anchor_texts()
        wanted = LiftedEncoder(reference_native).encode(anchors)
        source = _embedded(native, anchors, on_anchors)
        known = np.flatnonzero(np.isfinite(source).all(axis=1))
        if len(known) < KNOWN_ANCHORS_MIN * len(anchors):
            raise EncoderError(
                f"{name} returned no numbers for {len(anchors) - len(known)} of {len(anchors)} texts: who "
                "withholds so much is not heard"
            )
        fitted = fit(source[known], wanted[known], entry.alignment, ridge_strength=entry.ridge_strength)
        if cache_dir is not None:
            store_map(cache_dir, name, key, fitted)
    return AlignedEncoder(native, fitted, Way(entry.alignment, entry.ridge_strength))


def _embedded(
    native: NativeEncoder, anchors: Sequence[str], on_anchors: Callable[[int, int], None]
) -> NDArray[np.float32]:
    parts = []
    for start in range(0, len(anchors), ANCHORS_AT_ONCE):
        on_anchors(start, len(anchors))
        parts.append(native.embed(anchors[start : start + ANCHORS_AT_ONCE]))
    on_anchors(len(anchors), len(anchors))
    return np.concatenate(parts)


def _entry(name: str) -> _Entry:
    entry = _ENTRIES.get(name)
    if entry is None:
        near = difflib.get_close_matches(name, _ENTRIES, n=1, cutoff=0.0)
        raise EncoderError(
            f"There is no encoder `{name}`: use {near[0]} or another of {', '.join(_ENTRIES)}, or say where "
            "yours is; `deltamesh models list` tells how."
        )
    return entry


def _map_key(native: NativeEncoder, reference: NativeEncoder, entry: _Entry) -> str:
    how = (entry.alignment.value, entry.ridge_strength)
    settings = repr((LIFT_DOMAIN, DIMENSIONS, *how, native.name, reference.name))
    parts = settings.encode() + native.fingerprint() + reference.fingerprint() + anchors_digest()
    return blake3(parts).hexdigest()[:32]
