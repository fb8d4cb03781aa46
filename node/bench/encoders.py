"""Real encoders by name, computed offline, all brought into the shared space as an encoder node does it."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from blake3 import blake3

from node.bench.errors import BenchError
from node.bench.hashed import Atoms, HashedFeatures, characters, word_pairs, words
from node.bench.learnt import LatentSemantics, PpmiVectors
from node.bench.minilm_layers import READINGS, MiniLmLayer, name_of
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
    name_of(*reading): partial(MiniLmLayer, *reading) for reading in READINGS
}
_RELATIVES: Final[dict[str, Callable[[], NativeEncoder]]] = {
    "wordllama-192": lambda: WordVectors(192),
    "wordllama-96": lambda: WordVectors(96),
    "lsa-192": lambda: LatentSemantics(192),
    "lsa-96": lambda: LatentSemantics(96),
    "ppmi-192": lambda: PpmiVectors(192),
    "ppmi-64": lambda: PpmiVectors(64),
    "chars-6": lambda: HashedFeatures("chars-6", characters(6)),
    "chars-2": lambda: HashedFeatures("chars-2", characters(2)),
    "chars-3-b": lambda: HashedFeatures("chars-3-b", characters(3), seed=1),
    "chars-4-b": lambda: HashedFeatures("chars-4-b", characters(4), seed=1),
    "chars-5-b": lambda: HashedFeatures("chars-5-b", characters(5), seed=1),
    "words-b": lambda: HashedFeatures("words-b", words, seed=1),
    "words-c": lambda: HashedFeatures("words-c", words, seed=2),
    "atoms-b": lambda: Atoms("atoms-b", seed=1),
    "atoms-c": lambda: Atoms("atoms-c", seed=2),
}
_UNALIGNED: Final[dict[str, Callable[[], NativeEncoder]]] = {
    "cabal-atoms": lambda: Atoms("cabal-atoms", seed=3),
}
_ENTRIES: Final = _PLAIN | _MINILM | _RELATIVES | _UNALIGNED
PLAIN_NAMES: Final = tuple(_PLAIN)
"""Encoders that need no extra."""
MINILM_NAMES: Final = tuple(_MINILM)
"""Encoders that need the `minilm` extra."""
RELATIVE_NAMES: Final = tuple(_RELATIVES)
"""Encoders that differ from the plain ones by rank, width or seed only, to fill up a shard."""
CABAL_NAME: Final = "cabal-atoms"
"""Random word vectors in a space of their own, aligned to nothing: what colluders may agree upon."""


def available_names() -> tuple[str, ...]:
    """The names of all encoders that can be computed here."""
    try:
        MiniLm().fingerprint()
    except EncoderError:
        return PLAIN_NAMES
    return PLAIN_NAMES + MINILM_NAMES


def native_encoder(name: str) -> NativeEncoder:
    """An encoder in its own space, its model not yet loaded. Raises BenchError, naming the nearest name."""
    builder = _ENTRIES.get(name)
    if builder is None:
        near = difflib.get_close_matches(name, _ENTRIES, n=1, cutoff=0.0)
        raise BenchError(f"There is no encoder `{name}` to measure: did you mean {near[0]}?")
    return builder()


def bench_encoder(name: str, cache_dir: Path, how: Alignment = Alignment.PROCRUSTES) -> Encoder:
    """An encoder in the shared space of DEFAULT_REFERENCE; its map is fitted once and kept in `cache_dir`."""
    native, reference = native_encoder(name), native_encoder(DEFAULT_REFERENCE)
    if name == DEFAULT_REFERENCE or name in _UNALIGNED:
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
