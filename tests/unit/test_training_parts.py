"""What a model learns from: positives, masks, batches, mixtures; what it is: its folder, its views."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

from node.cli import encoder_train
from node.encoders import EncoderError, load_encoder
from node.encoders.models import own_model
from node.modalities import decode_view
from node.modalities.image_item import encode_image
from node.modalities.series_item import encode_series
from node.training.batches import epoch_batches
from node.training.errors import TrainingError
from node.training.folder import load_model, save_model
from node.training.masking import gap_of, split_of
from node.training.mixture import LOSSES, Mixture
from node.training.models import Architecture, Lift, PatchNet, StepNet, TextBag, View, build_model
from node.training.models.grams import hashed_views
from node.training.positives import Positives, draw_pairs, usable
from node.training.shifting import shifted
from node.training.training_set import TrainingSet, held_out

SMALL = TextBag(buckets=512, width=16, dimensions=16)
TEXTS = tuple(f"item {number} has some words of its own and number {number * 7}" for number in range(40))


def image(seed: int, height: int = 64, width: int = 64) -> bytes:
    return encode_image(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def series(seed: int, steps: int = 64, channels: int = 2) -> bytes:
    return encode_series(np.random.default_rng(seed).normal(size=(steps, channels)))


MODELS: list[tuple[Architecture, list[View]]] = [
    (SMALL, list(TEXTS[:6])),
    (PatchNet(width=4, dimensions=8), [image(seed) for seed in range(5)] + [image(9, 32, 48)]),
    (StepNet(channels=2, width=8, dimensions=8), [series(seed) for seed in range(5)] + [series(9, 24)]),
]


@pytest.mark.parametrize(("made_of", "views"), MODELS, ids=["text", "image", "series"])
def test_model__answers_a_view_alike_alone_and_among_others(made_of: Architecture, views: list[View]) -> None:
    model = build_model(made_of, 3)
    together = model.embed(views)
    assert together.shape == (6, model.dimensions)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    alone = np.concatenate([model.embed([view]) for view in views])
    np.testing.assert_allclose(alone, together, atol=1e-5)
    assert model.embed([]).shape == (0, model.dimensions)


@pytest.mark.parametrize(("made_of", "views"), MODELS, ids=["text", "image", "series"])
def test_model__comes_back_from_its_folder_with_the_same_answers(
    made_of: Architecture, views: list[View], tmp_path: Path
) -> None:
    model = build_model(made_of, 5)
    native = made_of.dimensions
    model.lift = Lift(torch.zeros(native), torch.eye(native, 1024), torch.zeros(1024))
    save_model(tmp_path / "m", model)
    back = load_model(tmp_path / "m")
    assert back.dimensions == 1024
    np.testing.assert_array_equal(back.embed(views), model.embed(views))


def test_build_model__draws_the_same_weights_and_leaves_the_generator_alone() -> None:
    torch.manual_seed(11)
    expected = torch.rand(1)
    torch.manual_seed(11)
    one, other = build_model(SMALL, 1), build_model(SMALL, 1)
    assert torch.equal(torch.rand(1), expected)
    for (_, a), (_, b) in zip(one.named_parameters(), other.named_parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("what", ["cut", "other shapes", "no numbers", "no json", "nothing"])
def test_load_model__says_what_is_wrong_with_a_folder(tmp_path: Path, what: str) -> None:
    save_model(tmp_path, build_model(SMALL))
    weights, card = tmp_path / "weights.safetensors", tmp_path / "model.json"
    if what == "cut":
        weights.write_bytes(weights.read_bytes()[:-10])
    elif what == "other shapes":
        save_model(tmp_path / "other", build_model(TextBag(buckets=256, width=16, dimensions=16)))
        weights.write_bytes((tmp_path / "other" / "weights.safetensors").read_bytes())
    elif what == "no numbers":
        tensors = load(weights.read_bytes())
        tensors["net.head.weight"][0, 0] = torch.nan
        weights.write_bytes(save(tensors))
    elif what == "no json":
        card.write_text('{"architecture": {"type": "os.system"}}')
    else:
        card.unlink()
    with pytest.raises(TrainingError, match=r"train|give the folder"):
        load_model(tmp_path)


def test_trained_model__is_an_encoder_and_a_lifted_one_is_not_aligned_again(tmp_path: Path) -> None:
    model = build_model(SMALL)
    model.lift = Lift(torch.zeros(16), torch.eye(16, 1024), torch.zeros(1024))
    save_model(tmp_path / "m", model)
    encoder = load_encoder(f"trained:{tmp_path / 'm'}")
    np.testing.assert_allclose(encoder.encode(list(TEXTS)), model.embed(TEXTS), atol=1e-6)


def test_trained_model__of_another_modality_is_refused(tmp_path: Path) -> None:
    save_model(tmp_path / "m", build_model(SMALL))
    found = own_model(f"trained:{tmp_path / 'm'}", 1, "image")
    assert found is not None
    with pytest.raises(EncoderError, match="--modality image"):
        found.embed([image(1)])


@settings(max_examples=30)
@given(st.lists(st.text(max_size=40), max_size=6))
def test_hashed_views__weigh_every_view_with_one(views: list[str]) -> None:
    slots, starts, weights = hashed_views(views, 64, (3, 4))
    assert len(slots) == len(weights)
    assert bool((slots < 64).all())
    ends = [*starts[1:].tolist(), len(slots)] if len(starts) else []
    for view, start, end in zip(views, starts.tolist(), ends, strict=True):
        assert weights[start:end].sum() == pytest.approx(1 if view.split() else 0, abs=1e-5)


@given(st.integers(0, 10_000), st.integers(8, 60))
def test_split_of__gives_the_two_parts_of_a_text(seed: int, count: int) -> None:
    words = [f"w{number}" for number in range(count)]
    split = split_of("text", " ".join(words), np.random.default_rng(seed))
    assert isinstance(split.mask, str)
    assert isinstance(split.inverse, str)
    assert sorted(split.mask.split() + split.inverse.split()) == sorted(words)
    assert 0 < split.share < 1


@given(st.integers(0, 10_000))
def test_split_of__gives_the_two_parts_of_an_image(seed: int) -> None:
    item = image(3)
    split = split_of("image", item, np.random.default_rng(seed))
    parts = [np.asarray(decode_view("image", part), int) - 128 for part in (split.mask, split.inverse, item)]
    np.testing.assert_array_equal(parts[0] + parts[1], parts[2])


@given(st.integers(0, 10_000), st.integers(2, 30))
def test_gap_of__gives_the_text_without_a_span_and_the_span(seed: int, count: int) -> None:
    words = [f"w{number}" for number in range(count)]
    rest, span = gap_of(" ".join(words), np.random.default_rng(seed))
    assert sorted(rest.split() + span.split()) == sorted(words)
    at = words.index(span.split()[0])
    assert words[at : at + len(span.split())] == span.split()
    assert len(span.split()) <= len(words) // 2 or count < 4


@given(st.integers(0, 10_000))
def test_shifted__moves_an_image_by_an_eighth_at_most(seed: int) -> None:
    item = image(2)
    pixels = np.asarray(decode_view("image", item), int)
    moved = np.asarray(decode_view("image", shifted(item, np.random.default_rng(seed))), int)
    inside = moved[8:-8, 8:-8]
    found = [
        (top, left)
        for top in range(17)
        for left in range(17)
        if np.array_equal(inside, pixels[top : top + 48, left : left + 48])
    ]
    assert len(found) == 1


def test_positives_by_labels__are_others_of_the_class() -> None:
    labels = np.array([number % 3 for number in range(40)])
    data = TrainingSet("text", TEXTS, labels=labels)
    found = draw_pairs(data, np.arange(40), Positives.LABELS, np.random.default_rng(0))
    of = {text: labels[place] for place, text in enumerate(TEXTS)}
    assert found.anchors == list(TEXTS)
    for place, positive in enumerate(found.positives):
        assert of[str(positive)] == labels[place]
        assert positive != TEXTS[place]
    np.testing.assert_array_equal(found.negatives, labels[:, None] != labels[None])


def test_positives_by_windows__are_beside_in_the_same_recording() -> None:
    recordings = np.arange(4).repeat(10)
    data = TrainingSet("text", TEXTS, recordings=recordings)
    places = np.arange(40)
    found = draw_pairs(data, places, Positives.WINDOWS, np.random.default_rng(0))
    at = {text: place for place, text in enumerate(TEXTS)}
    for place, positive in enumerate(found.positives):
        assert abs(at[str(positive)] - place) == 1
        assert recordings[at[str(positive)]] == recordings[place]
    assert not found.negatives[0, 3]
    assert found.negatives[0, 4]
    assert found.negatives[9, 10]  # the next recording


def test_positives_by_moves__are_the_same_image_moved_and_all_others_are_negatives() -> None:
    items = tuple(image(number) for number in range(3))
    found = draw_pairs(TrainingSet("image", items), np.arange(3), Positives.MOVES, np.random.default_rng(0))
    assert found.anchors != found.positives
    for item, *moved in zip(items, found.anchors, found.positives, strict=True):
        colours = {tuple(one) for one in np.asarray(decode_view("image", item)).reshape(-1, 3)}
        for view in moved:
            assert {tuple(one) for one in np.asarray(decode_view("image", view)).reshape(-1, 3)} <= colours
    np.testing.assert_array_equal(found.negatives, ~np.eye(3, dtype=bool))


def test_positives__need_what_they_are_made_of() -> None:
    data = TrainingSet("text", TEXTS)
    for source in (Positives.LABELS, Positives.WINDOWS):
        with pytest.raises(TrainingError, match="--positives"):
            usable(data, source)
    with pytest.raises(TrainingError, match="one label"):
        usable(TrainingSet("text", TEXTS, labels=np.zeros(40, int)), Positives.LABELS)
    with pytest.raises(TrainingError, match="gaps are of text"):
        usable(TrainingSet("image", (image(1),) * 4), Positives.GAPS)
    with pytest.raises(TrainingError, match="only images"):
        usable(data, Positives.MOVES)


@given(st.integers(2, 90), st.integers(2, 20), st.integers(0, 99))
def test_epoch_batches__hold_every_item_once_and_no_batch_has_one(count: int, size: int, seed: int) -> None:
    batches = [places for places, _ in epoch_batches(np.arange(count), size, seed, 1)]
    assert sorted(np.concatenate(batches).tolist()) == list(range(count))
    assert min(len(batch) for batch in batches) >= 2


def test_held_out__is_apart_and_of_series_the_end_of_each_recording() -> None:
    learning, kept_out = held_out(TrainingSet("text", TEXTS), 3)
    assert not set(learning.items) & set(kept_out.items)
    assert len(learning) + len(kept_out) == 40
    _, kept_out = held_out(TrainingSet("text", TEXTS, labels=np.arange(40) % 5), 3)
    assert kept_out.labels is not None
    assert np.bincount(kept_out.labels).tolist() == [2] * 5
    _, kept_out = held_out(TrainingSet("text", TEXTS, recordings=np.arange(2).repeat(20)), 3)
    assert kept_out.items == (*TEXTS[18:20], *TEXTS[38:])


def test_mixture__is_the_weighted_sum() -> None:
    mixture = Mixture.parsed(["infonce=2", "n-pair", "differential=0.5"])
    assert mixture.weights == (("infonce", 2.0), ("n-pair", 1.0), ("differential", 0.5))


@pytest.mark.parametrize("terms", [["infonse=1"], ["infonce=-1"], ["infonce=x"], ["infonce=nan"], []])
def test_mixture__refuses_what_is_no_loss_or_weight(terms: list[str]) -> None:
    with pytest.raises(TrainingError, match=r"loss|weight"):
        Mixture.parsed(terms)


def test_series_model__refuses_other_channels() -> None:
    with pytest.raises(TrainingError, match="2 channels"):
        build_model(StepNet(channels=2)).embed([series(1, channels=3)])


def test_losses__are_named_in_the_help_of_the_command() -> None:
    found = set(re.split(r"[^a-z-]+", inspect.getsource(encoder_train)))
    assert set(LOSSES) <= found
