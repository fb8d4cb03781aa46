"""The catalogue by modality: which encoders there are, on what they are aligned, what does not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from node.encoders import (
    DIMENSIONS,
    ENCODER_NAMES,
    REFERENCES,
    EncoderError,
    check_encoder,
    encoder_names,
    load_encoder,
)
from node.encoders.anchor_views import ANCHOR_ITEMS, anchor_views, anchor_views_digest, small_view
from node.encoders.catalogue import modality_of
from node.encoders.cheaters import load_strategy
from node.modalities import sample_items
from node.models_check import check_model
from protocol.batch import PPM, Role, plan_batch
from protocol.modalities import MODALITIES
from scoring import score_shard

DENSE = tuple(modality for modality in REFERENCES if modality != "text")

OWN = """
import numpy as np

def means(views):
    return np.array([[np.mean(view), np.std(view), 1.0, *np.ravel(view)[:5]] for view in views], np.float32)
"""


@pytest.mark.parametrize("modality", MODALITIES)
def test_catalogue__has_three_encoders_of_every_modality_the_reference_first(modality: str) -> None:
    names = encoder_names(modality)
    assert len(names) >= 3
    assert names[0] == REFERENCES[modality]
    assert all(modality_of(name) == modality for name in names)
    for name in names:
        if name != "minilm":
            check_encoder(name, modality)


def test_catalogue__has_every_encoder_once() -> None:
    assert sorted(ENCODER_NAMES) == sorted(name for one in MODALITIES for name in encoder_names(one))


@pytest.mark.parametrize("modality", ["series", "bytes"])
def test_anchor_views__are_canonical_whole_and_in_parts_and_no_challenge_items(modality: str) -> None:
    views = anchor_views(modality)
    assert len(views) == 3 * ANCHOR_ITEMS
    assert len(anchor_views_digest(modality)) == 32
    for view in views[:30]:
        assert isinstance(view, bytes)
        MODALITIES[modality].check(view)
    assert not set(views) & set(sample_items(modality))
    small = small_view(modality)
    assert isinstance(small, bytes)
    MODALITIES[modality].check(small)


def test_load_encoder__says_which_encoders_fit_where_the_modality_does_not(tmp_path: Path) -> None:
    with pytest.raises(
        EncoderError, match="`wordllama-256` embeds text, and image is asked of it: use one of image-"
    ):
        load_encoder("wordllama-256", modality="image")
    with pytest.raises(
        EncoderError, match="`image-patches` embeds image, and bytes is asked of it: use one of bytes-"
    ):
        load_encoder("bytes-runs", "image-patches")
    with pytest.raises(
        EncoderError, match="embed text, and series is asked of openai:m@http://h: use one of series-"
    ):
        load_encoder("openai:m@http://h", modality="series")
    with pytest.raises(EncoderError, match="embed text, and audio is asked of sentence-transformers:x"):
        check_encoder("sentence-transformers:x", "audio")
    with pytest.raises(EncoderError, match="no modality `video`: use one of text, image"):
        load_encoder("image-patches", modality="video")
    with pytest.raises(EncoderError, match="no model `image-patch`, did you mean `image-patches`"):
        load_encoder("image-patch", modality="image")


def test_modality_of__is_told_by_the_name_then_by_the_reference() -> None:
    assert modality_of("audio-bands") == "audio"
    assert modality_of("mine.py:f") == "text"
    assert modality_of("mine.py:f", None, "series-kernels") == "series"
    assert modality_of("mine.py:f", "image", "series-kernels") == "image"


def test_load_encoder__gives_a_function_decoded_views_of_the_references_modality(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    encoder = load_encoder(f"{tmp_path / 'mine.py'}:means", "series-kernels", cache_dir=tmp_path / "maps")
    rows = encoder.encode(sample_items("series", count=4))
    assert rows.shape == (4, DIMENSIONS)
    assert np.isfinite(rows).all()
    with pytest.raises(EncoderError, match="was given text"):
        encoder.encode(["text"])


@pytest.mark.slow
@pytest.mark.parametrize("modality", DENSE)
def test_check_model__scores_every_built_in_encoder_of_a_modality_above_zero(modality: str) -> None:
    found = check_model(encoder_names(modality)[-1], None, 1)
    assert (found.modality, found.reference) == (modality, REFERENCES[modality])
    assert set(found.scores) == set(encoder_names(modality))
    assert min(found.scores.values()) > 0.1
    assert found.faults == ()


@pytest.mark.slow
@pytest.mark.parametrize("modality", ["series", "bytes"])
def test_score_shard__hears_every_built_in_encoder_and_no_cheater(modality: str) -> None:
    items, masks = 64, 2
    batch = plan_batch(bytes(32), sample_items(modality, count=items), (), masks, MODALITIES[modality])
    encoders = [load_encoder(name) for name in encoder_names(modality)]
    honest = [load_strategy("honest", encoder, 0) for encoder in encoders]
    share = torch.tensor(batch.mask_share_ppm, dtype=torch.float32) / PPM
    for cheat in ("zero", "constant", "random", "replay"):
        rows: dict[Role, list[list[list[np.ndarray]]]] = {
            role: [] for role in (Role.FULL, Role.MASK, Role.INVERSE)
        }
        for strategy in (*honest, load_strategy(cheat, encoders[0], 1, modality)):
            found = {}
            for wave, views in enumerate(batch.waves, start=1):
                answers = strategy.answer(wave, tuple(view.data for view in views), {})
                found |= {
                    (view.role, view.item, view.mask): row for view, row in zip(views, answers, strict=True)
                }
            for role in rows:
                count = 1 if role is Role.FULL else masks
                rows[role].append([[found[role, item, k] for k in range(count)] for item in range(items)])
        full, mask, inverse = (torch.from_numpy(np.array(rows[role])) for role in rows)
        scores = score_shard(full[:, :, 0], mask, inverse, share).score
        assert scores[:-1].min() > 0.1, cheat
        assert scores[-1] == 0, cheat
