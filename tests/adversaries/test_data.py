"""The data layer: answers kept on disk, encoders in the shared space, texts in splits that share nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import node.bench.views
from node.bench.encoders import MINILM_NAMES, PLAIN_NAMES, RELATIVE_NAMES, native_encoder
from node.bench.errors import BenchError
from node.bench.hashed import Atoms, HashedFeatures, words
from node.bench.texts import SPLIT_ITEMS_MIN, Split, split_by_name, split_texts
from node.bench.views import embed_split
from node.corpus import load_challenge_pool
from node.encoders import DEFAULT_REFERENCE


@pytest.fixture
def few_texts(monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    texts = tuple(load_challenge_pool(None, words_min=20)[:40])
    monkeypatch.setattr(node.bench.views, "split_texts", lambda split: texts)
    return texts


def test_embed_split__answers_each_text_its_masks_and_their_inverses(
    few_texts: tuple[str, ...], tmp_path: Path
) -> None:
    embedded = embed_split(Split.TUNE, [DEFAULT_REFERENCE], 12, 2, 3, tmp_path)
    assert embedded.full.shape == (1, 12, 1024)
    assert embedded.mask.shape == embedded.inverse.shape == (1, 12, 2, 1024)
    assert len(set(embedded.texts)) == 12
    assert set(embedded.texts) <= set(few_texts)
    assert ((embedded.share > 0) & (embedded.share < 1)).all()
    for rows in (embedded.full, embedded.mask, embedded.inverse):
        np.testing.assert_allclose(np.linalg.norm(rows, axis=-1), 1, atol=1e-4)
    # A part lies nearer to its own item than to the next one.
    own = (embedded.inverse[0, :, 0] * embedded.full[0]).sum(-1)
    other = (embedded.inverse[0, :, 0] * np.roll(embedded.full[0], 1, axis=0)).sum(-1)
    assert (own > other).mean() > 0.9


def test_embed_split__draws_by_its_seed_and_keeps_what_it_computed(
    few_texts: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = embed_split(Split.TUNE, [DEFAULT_REFERENCE], 8, 1, 0, tmp_path)
    other = embed_split(Split.TUNE, [DEFAULT_REFERENCE], 8, 1, 1, tmp_path)
    assert first.texts != other.texts
    for file in tmp_path.glob("*.npy"):
        assert np.load(file).shape == (8 * 3, 1024)

    def refuse(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(node.bench.views, "bench_encoder", refuse)
    again = embed_split(Split.TUNE, [DEFAULT_REFERENCE], 8, 1, 0, tmp_path)
    np.testing.assert_array_equal(again.inverse, first.inverse)
    for file in tmp_path.glob("*.npy"):
        file.write_bytes(b"damaged")
    with pytest.raises(AssertionError, match="computed again"):
        embed_split(Split.TUNE, [DEFAULT_REFERENCE], 8, 1, 0, tmp_path)


def test_embed_split__keeps_the_newest_answers_within_its_bound(
    few_texts: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node.bench.views, "CACHE_BYTES_MAX", 3 * 8 * 3 * 4096)
    for seed in range(5):
        embed_split(Split.TUNE, [DEFAULT_REFERENCE], 8, 1, seed, tmp_path)
    assert len(list(tmp_path.glob("*.npy"))) == 2


@pytest.mark.parametrize(("items", "masks"), [(41, 1), (0, 1), (8, 0)])
def test_embed_split__refuses_more_items_than_there_are(
    few_texts: tuple[str, ...], tmp_path: Path, items: int, masks: int
) -> None:
    with pytest.raises(BenchError, match="it has 40 items"):
        embed_split(Split.TUNE, [DEFAULT_REFERENCE], items, masks, 0, tmp_path)


def test_names__are_thirty_encoders_with_the_extra_and_without() -> None:
    assert len(PLAIN_NAMES) == len(MINILM_NAMES) == len(RELATIVE_NAMES) == 15
    assert len({*PLAIN_NAMES, *MINILM_NAMES, *RELATIVE_NAMES}) == 45
    with pytest.raises(BenchError, match="did you mean chars-3"):
        native_encoder("char-3")
    with pytest.raises(BenchError, match="fit, tune, later, latest"):
        split_by_name("test")


def test_hashed__differ_by_seed_and_atoms_add_up() -> None:
    texts = ("one two three", "three four")
    first, second = (HashedFeatures("words", words, seed).embed(texts) for seed in (0, 1))
    assert abs((first * second).sum(1)).max() < 0.5
    parts = Atoms("atoms").embed(("red fox", "red", "fox"))
    np.testing.assert_allclose(
        parts[0], (parts[1] + parts[2]) / np.linalg.norm(parts[1] + parts[2]), atol=1e-6
    )


@pytest.mark.slow
def test_splits__hold_enough_text_and_no_item_says_what_another_splits_items_say() -> None:
    texts = {split: split_texts(split) for split in Split}
    runs = {split: Counter(run for item in items for run in _runs(item)) for split, items in texts.items()}
    shared = []
    for split, items in texts.items():
        assert len(items) >= SPLIT_ITEMS_MIN
        for item in items:
            assert 40 <= len(item.split()) <= 80
            own = _runs(item)
            elsewhere = sum(any(run in runs[other] for other in Split if other is not split) for run in own)
            shared.append(elsewhere / len(own))
    # Phrases of documentation come back everywhere ("if not given, it is"), whole statements do not.
    assert np.mean(shared) < 0.15
    assert np.mean([share > 0.5 for share in shared]) < 0.02


def _runs(item: str) -> set[tuple[str, ...]]:
    """All runs of six words."""
    words = item.lower().split()
    return {tuple(words[at : at + 6]) for at in range(len(words) - 5)}


@pytest.mark.slow
def test_learnt__encoders_tell_texts_apart() -> None:
    texts = split_texts(Split.TUNE)[:64]
    for name in ("lsa-128", "ppmi-128"):
        rows = native_encoder(name).embed(texts)
        halves = [native_encoder(name).embed([" ".join(t.split()[a::2]) for t in texts]) for a in (0, 1)]
        found = (halves[0] @ halves[1].T).argmax(1) == np.arange(64)
        assert found.mean() > 0.2  # chance is 1 in 64
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-4)


@pytest.mark.minilm
@pytest.mark.slow
def test_minilm__last_layer_mean_is_what_the_encoder_node_answers() -> None:
    texts = ["A short text.", "Another, somewhat longer text about nothing in particular."]
    from node.encoders.minilm import MiniLm

    np.testing.assert_allclose(native_encoder("minilm-6-mean").embed(texts), MiniLm().embed(texts), atol=1e-4)
