"""Real encoders by name, computed offline, all brought into the shared space as an encoder node does it."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from blake3 import blake3

from node.bench.errors import BenchError
from node.bench.hashed import Atoms, HashedFeatures, characters, word_pairs, words
from node.bench.learnt import LatentSemantics, PpmiVectors
from node.bench.minilm_layers import LAYERS, POOLINGS, MiniLmLayer
from node.encoders import DEFAULT_REFERENCE, DIMENSIONS, Encoder
from node.encoders.alignment import LIFT_DOMAIN, Alignment, fit
from node.encoders.alignment_store import FOLDER_NAME, store_map, stored_map
from node.encoders.anchors import anchor_texts, anchors_digest
from node.encoders.catalogue import AlignedEncoder, LiftedEncoder
from node.encoders.encoder import EncoderError, NativeEncoder
from node.encoders.minilm import MiniLm
from node.encoders.ngram import HashedNgrams
from node.encoders.word_vectors import WordVectors

_PLAIN: Final[dict[str, Callable[[], NativeEncoder]]] = {
    "wordllama-256": lambda: WordVectors(256),
    "wordllama-128": lambda: WordVectors(128),
    "wordllama-64": lambda: WordVectors(64),
    "lsa-256": lambda: LatentSemantics(256),
    "lsa-128": lambda: LatentSemantics(128),
    "lsa-64": lambda: LatentSemantics(64),
    "ppmi-256": lambda: PpmiVectors(256),
    "ppmi-128": lambda: PpmiVectors(128),
    "ngram": HashedNgrams,
    "chars-3": lambda: HashedFeatures("chars-3", characters(3)),
    "chars-4": lambda: HashedFeatures("chars-4", characters(4)),
    "chars-5": lambda: HashedFeatures("chars-5", characters(5)),
    "words": lambda: HashedFeatures("words", words),
    "word-pairs": lambda: HashedFeatures("word-pairs", word_pairs),
    "atoms": lambda: Atoms("atoms"),
}
_MINILM: Final[dict[str, Callable[[], NativeEncoder]]] = {
    f"minilm-{layer}-{pooling}": (lambda layer=layer, pooling=pooling: MiniLmLayer(layer, pooling))  # type: ignore[misc]
    for layer in reversed(LAYERS)
    for pooling in POOLINGS
}
PLAIN_NAMES: Final = tuple(_PLAIN)
"""Encoders that need no extra."""
MINILM_NAMES: Final = tuple(_MINILM)
"""Encoders that need the `minilm` extra."""


def available_names() -> tuple[str, ...]:
    """The names of all encoders that can be computed here."""
    try:
        MiniLm().fingerprint()
    except EncoderError:
        return PLAIN_NAMES
    return PLAIN_NAMES + MINILM_NAMES


def native_encoder(name: str) -> NativeEncoder:
    """An encoder in its own space, its model not yet loaded. Raises BenchError, naming the nearest name."""
    builder = (_PLAIN | _MINILM).get(name)
    if builder is None:
        near = difflib.get_close_matches(name, _PLAIN | _MINILM, n=1, cutoff=0.0)
        raise BenchError(f"There is no encoder `{name}` to measure: did you mean {near[0]}?")
    return builder()


def bench_encoder(name: str, cache_dir: Path, how: Alignment = Alignment.PROCRUSTES) -> Encoder:
    """An encoder in the shared space of DEFAULT_REFERENCE; its map is fitted once and kept in `cache_dir`."""
    native, reference = native_encoder(name), native_encoder(DEFAULT_REFERENCE)
    if name == DEFAULT_REFERENCE:
        return LiftedEncoder(native)
    folder, key = cache_dir / FOLDER_NAME, alignment_key(name, how).hex()[:32]
    fitted = stored_map(folder, f"{name}-{how.value}", key, native.dimensions)
    if fitted is None:
        anchors = anchor_texts()
        fitted = fit(native.embed(anchors), LiftedEncoder(reference).encode(anchors), how)
        store_map(folder, f"{name}-{how.value}", key, fitted)
    return AlignedEncoder(native, fitted)


def alignment_key(name: str, how: Alignment) -> bytes:
    """Digest of everything an encoder's answers depend on beside the views."""
    native, reference = native_encoder(name), native_encoder(DEFAULT_REFERENCE)
    settings = repr((LIFT_DOMAIN, DIMENSIONS, how.value, name)).encode()
    return blake3(settings + native.fingerprint() + reference.fingerprint() + anchors_digest()).digest()
