"""A small shard of real encoders on real text, embedded in a second or two."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np

from node.bench import learnt
from node.bench.encoders import native_encoder
from node.bench.scene import Answers, Scene
from node.corpus import load_challenge_pool
from node.encoders.alignment import AffineMap, Alignment, fit
from node.encoders.encoder import NativeEncoder, unit_rows
from protocol.masks import masks_of
from protocol.modalities import TEXT, Units

ITEMS = 64
FITTED = 600
"""Texts on which the encoders are aligned, and from which one of them learns."""
NAMES = ("wordllama-256", "wordllama-128", "wordllama-64", "lsa-128", "lsa-64", "ngram", "chars-3", "words")
_SECRET = b"s" * 32


@cache
def embedded() -> tuple[Answers, Answers, np.ndarray]:
    """Answers of NAMES to ITEMS items with a mask each, unaligned random word vectors, and the shares.

    In the reference's own 256 dimensions: lifted or not, all aligned answers lie in them.
    """
    pool = load_challenge_pool(None, words_min=20)
    texts, fitted = pool[:ITEMS], pool[ITEMS : ITEMS + FITTED]
    units = [Units.of(TEXT, text.encode()) for text in texts]
    masks = [masks_of(_SECRET, one, 1)[0] for one in units]
    pairs = list(zip(masks, units, strict=True))
    parts = [mask.part(text).decode() for mask, text in pairs]
    roles = [texts, parts, [mask.inverse(text).decode() for mask, text in pairs]]
    share = np.array([[mask.share_ppm(text) / 1e6] for mask, text in pairs], dtype=np.float32)
    reference = native_encoder(NAMES[0])
    target = reference.embed(fitted)
    rows = []
    with _learning_from(fitted):
        for name in NAMES:
            native = native_encoder(name)
            aligned = fit(native.embed(fitted), target, Alignment.PROCRUSTES)
            rows.append([_answers(native, aligned, views) for views in roles])
    atoms = native_encoder("cabal-atoms")
    cabal = [[unit_rows(atoms.embed(views)[:, : reference.dimensions]) for views in roles]]
    return _stacked(rows), _stacked(cabal), share


def scene(attackers: int = 3, seed: int = 0) -> Scene:
    """The last `attackers` of NAMES attack all the others."""
    answers, atoms, share = embedded()
    first = len(answers) - attackers
    own, honest = list(range(first, len(answers))), list(range(first))
    return Scene(answers.encoders(own), answers.encoders(honest), atoms, share, np.random.default_rng(seed))


@contextmanager
def _learning_from(texts: list[str]) -> Iterator[None]:
    """Encoders that learn do so from these texts, not from the split, which takes ten seconds to gather."""
    before = learnt.split_texts
    learnt.split_texts = lambda split: tuple(texts)  # type: ignore[assignment]
    learnt._lsa.cache_clear()
    try:
        yield
    finally:
        learnt.split_texts = before
        learnt._lsa.cache_clear()


def _answers(native: NativeEncoder, aligned: AffineMap, views: list[str]) -> np.ndarray:
    return aligned.apply(native.embed(views))


def _stacked(rows: list[list[np.ndarray]]) -> Answers:
    full, mask, inverse = (np.stack(role) for role in zip(*rows, strict=True))
    return Answers(full, mask[:, :, None], inverse[:, :, None])
