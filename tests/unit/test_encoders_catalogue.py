"""The built-in encoders: offline, the same in every process, unit rows, one shared space."""

from __future__ import annotations

import logging
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import node.encoders.catalogue
import node.encoders.word_vectors
from node.corpus import load_challenge_pool
from node.encoders import DIMENSIONS, EncoderError, encoder_names, load_encoder
from node.encoders.anchors import anchor_texts
from node.encoders.ngram import BUCKETS, HashedNgrams
from node.encoders.word_vectors import WordVectors

# Minilm needs its extra; all that holds for the others holds for it.
_NAMES = [
    pytest.param(name, marks=pytest.mark.minilm) if name == "minilm" else name
    for name in encoder_names("text")
]
_TEXTS = ("The cat sat on the mat.", "A loop ends when its condition is false.", "x", "--", "")


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder all tests of encoders share, so that each map is fitted once."""
    return tmp_path_factory.getbasetemp() / "encoder-maps"


def _child(code: str, *arguments: str, hash_seed: str = "0") -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=environment,
    )
    return ran.stdout.strip()


@pytest.mark.parametrize("name", _NAMES)
def test_encoder__answers_unit_rows_of_float32(name: str, maps: Path) -> None:
    encoder = load_encoder(name, cache_dir=maps)
    rows = encoder.encode(_TEXTS)
    assert encoder.name == name
    assert rows.shape == (len(_TEXTS), DIMENSIONS)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, rtol=1e-5)
    assert encoder.encode(()).shape == (0, DIMENSIONS)


@pytest.mark.parametrize("name", _NAMES)
@given(views=st.lists(st.text(st.characters(codec="utf-8"), max_size=40), min_size=1, max_size=6))
@settings(max_examples=15, deadline=None)
def test_encoder__gives_a_view_the_same_row_in_any_company(
    name: str, maps: Path, views: Sequence[str]
) -> None:
    encoder = load_encoder(name, cache_dir=maps)
    alone = np.concatenate([encoder.encode([view]) for view in views])
    assert np.isfinite(alone).all()
    np.testing.assert_allclose(encoder.encode(views), alone, atol=1e-5)


@pytest.mark.parametrize("name", _NAMES)
def test_encoder__lies_near_the_reference_on_text_it_was_not_aligned_on(name: str, maps: Path) -> None:
    items = load_challenge_pool(None)[::100]
    reference, rows = (
        load_encoder(which, cache_dir=maps).encode(items) for which in (encoder_names("text")[0], name)
    )
    centred_reference, centred = reference - reference.mean(axis=0), rows - rows.mean(axis=0)
    cosines = (centred_reference * centred).sum(axis=1) / (
        np.linalg.norm(centred_reference, axis=1) * np.linalg.norm(centred, axis=1)
    )
    assert cosines.mean() > 0.4
    # Its own item's vector is nearer than others': measured as the share of items that find themselves.
    assert (np.argmax(centred @ centred_reference.T, axis=1) == np.arange(len(items))).mean() > 0.85


def test_reference__keeps_the_cosines_of_its_own_space() -> None:
    items = load_challenge_pool(None)[:50]
    native = WordVectors(256).embed(items)
    lifted = load_encoder("wordllama-256").encode(items)
    np.testing.assert_allclose(lifted @ lifted.T, native @ native.T, atol=1e-5)


def test_wordllama__cut_is_the_models_own_truncation() -> None:
    from wordllama import WordLlama

    own = WordLlama.load(
        cache_dir=Path(sys.modules["wordllama"].__file__ or "").parent, trunc_dim=64, disable_download=True
    )
    expected = own.embed([_TEXTS[0], _TEXTS[1]], norm=True)
    np.testing.assert_allclose(WordVectors(64).embed(_TEXTS[:2]), expected, atol=1e-6)


def test_word_vectors__remember_no_view_they_have_embedded() -> None:
    # The tokenizer would keep ten thousand views and their pieces: 20 MiB and more for these.
    chance = random.Random(0)
    words = sorted({word for text in load_challenge_pool(None) for word in text.split() if word.isalpha()})

    def fresh_views(count: int) -> list[str]:
        return [" ".join(chance.choices(words, k=25)) for _ in range(count)]

    process, model = psutil.Process(), WordVectors(64)
    model.embed(fresh_views(512))  # what loading and a first batch take
    before = process.memory_info().rss
    for _ in range(12):
        model.embed(fresh_views(512))
    assert process.memory_info().rss - before < 8 << 20


def test_anchor_texts__share_nothing_with_the_challenge_pool() -> None:
    pool = load_challenge_pool(None)
    assert not set(anchor_texts()) & set(pool)
    # Some anchors are short: whole passages are what must not come back.
    passages = {run for text in anchor_texts() for run in _runs_of_twelve(text)}
    assert not any(_runs_of_twelve(text) & passages for text in pool)


def _runs_of_twelve(text: str) -> set[tuple[str, ...]]:
    words = text.lower().split()
    return {tuple(words[at : at + 12]) for at in range(len(words) - 11)}


def test_ngram__does_not_depend_on_the_process(maps: Path) -> None:
    load_encoder("ngram", cache_dir=maps)
    code = (
        "import sys, pathlib; from node.encoders import load_encoder;"
        "encoder = load_encoder('ngram', cache_dir=pathlib.Path(sys.argv[1]));"
        "print(encoder.encode(['a view', 'more']).tobytes().hex())"
    )
    rows = {_child(code, str(maps), hash_seed=seed) for seed in ("1", "2")}
    assert rows == {load_encoder("ngram", cache_dir=maps).encode(["a view", "more"]).tobytes().hex()}


def test_ngram__counts_words_and_their_grams_with_signs() -> None:
    once, twice = HashedNgrams().embed(["abc"]), HashedNgrams().embed(["abc abc, (ABC)"])
    np.testing.assert_allclose(once, twice, atol=1e-6)
    # The word, <ab, abc, bc>, <abc, abc> and <abc>: seven features, so at most seven buckets.
    assert 1 <= np.count_nonzero(once) <= 7
    assert once.shape == (1, BUCKETS)


def test_load_encoder__restarts_from_the_stored_map_without_fitting(
    maps: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load_encoder("ngram", cache_dir=maps).encode(_TEXTS)

    def refuse(_: str) -> list[str]:
        raise AssertionError("fitted again")

    monkeypatch.setattr(node.encoders.catalogue, "anchor_views", refuse)
    assert np.array_equal(load_encoder("ngram", cache_dir=maps).encode(_TEXTS), before)


def test_load_encoder__fits_again_for_another_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = anchor_texts()[:200]
    monkeypatch.setattr(node.encoders.catalogue, "anchor_views", lambda _: few)
    load_encoder("wordllama-64", "wordllama-256", cache_dir=tmp_path)
    (first,) = tmp_path.iterdir()
    load_encoder("wordllama-64", "wordllama-128", cache_dir=tmp_path)
    (second,) = tmp_path.iterdir()
    assert first.name != second.name


def test_load_encoder__loads_neither_torch_nor_libp2p_and_leaves_logging_alone() -> None:
    code = (
        "import logging, sys; from node.encoders import load_encoder;"
        "load_encoder('wordllama-256').encode(['a']);"
        "print([m for m in ('torch', 'libp2p', 'trio', 'sklearn') if m in sys.modules],"
        "logging.getLogger().handlers, logging.getLogger().level)"
    )
    assert _child(code) == f"[] [] {logging.WARNING}"


@pytest.mark.parametrize(("name", "nearest"), [("wordlama-256", "wordllama-256"), ("n-gram", "ngram")])
def test_load_encoder__names_the_nearest_for_an_unknown_name(name: str, nearest: str) -> None:
    with pytest.raises(EncoderError, match=f"no model `{name}`, did you mean `{nearest}`"):
        load_encoder(name)
    with pytest.raises(EncoderError, match=f"no model `{name}`"):
        load_encoder("ngram", name)


def test_load_encoder__says_what_to_do_without_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    node.encoders.word_vectors._files_digest.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EncoderError, match="pip install wordllama"):
        WordVectors(64).fingerprint()
