"""The built-in encoders by name, aligned to the shared space of a reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from node.encoders.alignment import LIFT_DOMAIN, AffineMap, Alignment, fit, lift
from node.encoders.alignment_store import store_map, stored_map
from node.encoders.anchor_views import anchor_views, anchor_views_digest, small_view
from node.encoders.built_in import ENCODER_NAMES, REFERENCES, Entry, check_modality, entry_of
from node.encoders.encoder import (
    DIMENSIONS,
    Encoder,
    EncoderError,
    NativeEncoder,
    View,
    made_answers,
    views_at_once,
)
from node.encoders.models import own_model
from node.encoders.own_alignment import Target, own_alignment
from node.encoders.refit import ROTATION, Way
from node.encoders.trained import TrainedModel

ANCHORS_AT_ONCE: Final = 256
KNOWN_ANCHORS_MIN: Final = 0.9
"""Share of the anchors a model has to answer with numbers."""


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
        rows: NDArray[np.float32] = self.native.embed(views) @ lift(self.native.dimensions)
        return made_answers(rows)

    def encode_into(self, views: Sequence[View], rows: NDArray[np.float32]) -> None:
        """Write them to float32 [n, DIMENSIONS]."""
        made_answers(np.matmul(self.native.embed(views), lift(self.native.dimensions), out=rows))


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

    def encode_into(self, views: Sequence[View], rows: NDArray[np.float32]) -> None:
        """Write them to float32 [n, DIMENSIONS]."""
        self.map.apply(self.native.embed(views), rows)


def load_encoder(
    name: str,
    reference: str | None = None,
    *,
    modality: str | None = None,
    cache_dir: Path | None = None,
    threads: int = 1,
    target: Target = Target.REFERENCE,
    on_anchors: Callable[[int, int], None] = lambda _, __: None,
) -> Encoder:
    """An encoder of views of a modality, aligned to the space that `reference` spans, its model loaded.

    `name` is a built-in one, or says where a model of one's own is (`models.KINDS`). A modality left out is
    told by `modality_of`, a reference by `REFERENCES`.
    With a `cache_dir` the fitted map is kept there, keyed by everything it depends on; one that `encoder
    align` or a refit has left for `target`, or else for the reference, goes first. Fitting takes as long
    as the model takes for 2,100 to 3,000 anchors, minilm about a minute; `on_anchors` is told (done, all).
    Raises EncoderError for an unknown name, naming the nearest, for one of another modality, naming those
    that fit, where a model's files are missing, and for what a model does wrong.
    """
    modality = modality_of(name, modality, reference)
    reference = REFERENCES[modality] if reference is None else reference
    encoder = _aligned(name, reference, modality, cache_dir, threads, target, on_anchors)
    # A model loads when it is first used, minilm for ten seconds: the first wave would be answered too late.
    # One's own of another modality was loaded to be aligned or told apart, and may take one shape only.
    if modality == "text" or name in ENCODER_NAMES:
        encoder.encode((small_view(modality),))
    return encoder


def load_native(name: str, threads: int = 1, *, modality: str | None = None) -> NativeEncoder:
    """A model in its own space, loaded when it is first used. Raises EncoderError as `load_encoder` does."""
    modality = modality_of(name, modality)
    own = own_model(name, threads, modality)
    return entry_of(name, modality).native(threads) if own is None else own


def own_way(name: str) -> Way | None:
    """How a built-in model is aligned, chosen by measurement; None for a model of one's own."""
    if name not in ENCODER_NAMES:
        return None
    entry = entry_of(name)
    return Way(entry.alignment, entry.ridge_strength)


def check_encoder(name: str, modality: str | None = None) -> None:
    """Raise EncoderError where `load_encoder` would for want of a model or its files, without loading it."""
    modality = modality_of(name, modality)
    if own_model(name, 1, modality) is None:
        entry_of(name, modality).native(1).fingerprint()


def modality_of(name: str, wanted: str | None = None, reference: str | None = None) -> str:
    """What is embedded: what is wanted, else what a built-in encoder embeds, else what the reference does.

    A model of one's own without either embeds text. Raises EncoderError for an unknown name or modality.
    """
    if wanted is not None:
        check_modality(wanted)
        return wanted
    if own_model(name, 1) is None:
        return entry_of(name).modality
    return "text" if reference is None else entry_of(reference).modality


def _aligned(
    name: str,
    reference: str,
    modality: str,
    cache_dir: Path | None,
    threads: int,
    target: Target,
    on_anchors: Callable[[int, int], None],
) -> Encoder:
    own = own_model(name, threads, modality)
    if isinstance(own, TrainedModel) and own.is_lifted:
        return own
    entry = entry_of(name, modality) if own is None else Entry(lambda _: own, Alignment.PROCRUSTES, modality)
    reference_native = entry_of(reference, modality).native(threads)
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
        anchors = anchor_views(modality)
        wanted = LiftedEncoder(reference_native).encode(anchors)
        source = _embedded(native, anchors, on_anchors)
        known = np.flatnonzero(np.isfinite(source).all(axis=1))
        if len(known) < KNOWN_ANCHORS_MIN * len(anchors):
            raise EncoderError(
                f"{name} returned no numbers for {len(anchors) - len(known)} of {len(anchors)} views: who "
                "withholds so much is not heard"
            )
        fitted = fit(source[known], wanted[known], entry.alignment, ridge_strength=entry.ridge_strength)
        if cache_dir is not None:
            store_map(cache_dir, name, key, fitted)
    return AlignedEncoder(native, fitted, Way(entry.alignment, entry.ridge_strength))


def _embedded(
    native: NativeEncoder, anchors: Sequence[View], on_anchors: Callable[[int, int], None]
) -> NDArray[np.float32]:
    parts = []
    for start in range(0, len(anchors), ANCHORS_AT_ONCE):
        on_anchors(start, len(anchors))
        parts.append(native.embed(anchors[start : start + ANCHORS_AT_ONCE]))
    on_anchors(len(anchors), len(anchors))
    return np.concatenate(parts)


def _map_key(native: NativeEncoder, reference: NativeEncoder, entry: Entry) -> str:
    how = (entry.alignment.value, entry.ridge_strength)
    settings = repr((LIFT_DOMAIN, DIMENSIONS, *how, native.name, reference.name))
    parts = (
        settings.encode()
        + native.fingerprint()
        + reference.fingerprint()
        + anchor_views_digest(entry.modality)
    )
    return blake3(parts).hexdigest()[:32]
