"""Decoding gives models what encoding took, and refuses bytes of the wrong shape."""

from __future__ import annotations

from collections import Counter
from functools import cache, partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.modalities import decode_view, sample_items
from node.modalities.audio_item import COEFFICIENT_MAX, audio_coefficients, encode_audio
from node.modalities.image_item import NEUTRAL, encode_image
from node.modalities.mdct import FRAME_SAMPLES, forward, inverse
from node.modalities.series_item import encode_series
from protocol.items import ItemError
from protocol.masks import masks_of
from protocol.modalities import MODALITIES, Units

SEEDS = st.integers(0, 2**32 - 1)
samples = cache(partial(sample_items, count=10))


@given(SEEDS, st.integers(1, 8), st.integers(1, 8))
def test_decode_view__gives_an_image_back_exactly(seed: int, rows: int, columns: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (rows * 16, columns * 16, 3), dtype=np.uint8)
    decoded = decode_view("image", encode_image(pixels))
    assert isinstance(decoded, np.ndarray)
    assert decoded.dtype == np.uint8
    assert np.array_equal(decoded, pixels)
    decoded[:] = 0  # a model may write to what it is given


@given(SEEDS, st.integers(1, 16), st.floats(0.0, 1.0))
def test_decode_view__gives_sound_back_within_quantisation(seed: int, blocks: int, loudness: float) -> None:
    samples = np.random.default_rng(seed).uniform(-loudness, loudness, blocks * 8 * FRAME_SAMPLES)
    decoded = decode_view("audio", encode_audio(samples.astype(np.float32)))
    assert isinstance(decoded, np.ndarray)
    assert decoded.dtype == np.float32
    # The transform is orthogonal: its rounding errors, half a step at most, have the same energy as sound.
    step = COEFFICIENT_MAX / 32767
    assert np.sqrt(np.mean((decoded - samples) ** 2)) <= step / 2
    assert np.abs(decoded).max() <= 1


@given(SEEDS, st.integers(1, 12))
def test_mdct__is_an_orthogonal_map_with_an_exact_inverse(seed: int, frames: int) -> None:
    samples = np.random.default_rng(seed).standard_normal(frames * FRAME_SAMPLES).astype(np.float32)
    coefficients = forward(samples)
    assert coefficients.shape == (frames, FRAME_SAMPLES)
    assert np.sum(coefficients**2) == pytest.approx(np.sum(samples**2), rel=1e-5)
    assert np.abs(inverse(coefficients) - samples).max() < 1e-5


def test_mdct__inner_frames_are_those_of_the_textbook_formula() -> None:
    samples = np.random.default_rng(5).standard_normal(5 * FRAME_SAMPLES)
    n, k = np.arange(2 * FRAME_SAMPLES)[:, None], np.arange(FRAME_SAMPLES)[None]
    window = np.sin(np.pi / (2 * FRAME_SAMPLES) * (n + 0.5))
    basis = window * np.cos(np.pi / FRAME_SAMPLES * (n + 0.5 - FRAME_SAMPLES / 2) * (k + 0.5))
    start = 2 * FRAME_SAMPLES - FRAME_SAMPLES // 2
    expected = samples[start : start + 2 * FRAME_SAMPLES] @ basis * np.sqrt(2 / FRAME_SAMPLES)
    assert np.abs(forward(samples.astype(np.float32))[2] - expected).max() < 1e-5


@pytest.mark.parametrize("tone_hz", [30, 440, 1000, 3999, 7950])
def test_encode_audio__does_not_clip_a_full_scale_tone(tone_hz: int) -> None:
    samples = np.sin(2 * np.pi * tone_hz * np.arange(128 * FRAME_SAMPLES) / 16000).astype(np.float32)
    assert np.abs(audio_coefficients(encode_audio(samples))).max() < 0.95 * COEFFICIENT_MAX


@given(SEEDS, st.integers(1, 64), st.integers(1, 32))
def test_decode_view__gives_a_series_back_within_quantisation(seed: int, spans: int, channels: int) -> None:
    values = np.random.default_rng(seed).standard_normal((spans * 8, channels))
    decoded = decode_view("series", encode_series(values))
    assert isinstance(decoded, np.ndarray)
    assert decoded.dtype == np.float32
    assert np.abs(decoded - values).max() <= 0.5 / 4096 + 1e-6


def test_decode_view__hands_bytes_and_text_through() -> None:
    assert decode_view("bytes", b"\x00\xff") == b"\x00\xff"
    assert decode_view("text", "two words") == "two words"
    assert decode_view("text", "\u00e9".encode()) == "\u00e9"


@pytest.mark.parametrize(
    ("modality", "view"),
    [
        ("image", b""),
        ("image", b"\x00\x10\x00\x11" + bytes(16 * 17 * 3)),
        ("image", b"\x00\x10\x00\x10" + bytes(16 * 16 * 3 - 1)),
        ("image", b"\x01\x00\x00\x10" + bytes(256 * 16 * 3)),
        ("audio", b"\x00"),
        ("audio", b"\x00\x08\x00\x80" + bytes(8 * 128 * 2)),
        ("audio", b"\x00\x0c\x01\x00" + bytes(12 * 256 * 2)),
        ("audio", b"\x00\x08\x01\x00" + bytes(8 * 256 * 2 + 2)),
        ("series", b"\x00\x08"),
        ("series", b"\x00\x07\x00\x01" + bytes(14)),
        ("series", b"\x00\x08\x00\x00"),
        ("series", b"\x02\x00\x00\x40" + bytes(512 * 64 * 2)),
    ],
)
def test_decode_view__refuses_what_is_no_view(modality: str, view: bytes) -> None:
    with pytest.raises(ItemError):
        decode_view(modality, view)


def test_decode_view__refuses_a_modality_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="audio, bytes, image, series, text"):
        decode_view("smell", b"x")


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from(["audio", "bytes", "image", "series"]),
    st.integers(0, 9),
    st.binary(min_size=32, max_size=32),
)
def test_views__of_a_mask_and_its_inverse_partition_the_item(
    modality: str, place: int, secret: bytes
) -> None:
    known = MODALITIES[modality]
    units = Units.of(known, samples(modality)[place])
    for mask in masks_of(secret, units, 3):
        part, inverse = mask.part(units), mask.inverse(units)
        if not known.masks_keep_size:
            assert len(part) + len(inverse) == len(units.data)
            assert Counter(part) + Counter(inverse) == Counter(units.data)
            continue
        neutral = NEUTRAL if modality == "image" else 0
        whole, shown, hidden = (np.frombuffer(view[4:], np.uint8) for view in (units.data, part, inverse))
        # Every byte stands in one of the two views, and the other is neutral there.
        assert np.array_equal(np.where(shown == neutral, hidden, shown), whole)
        assert ((shown == neutral) | (hidden == neutral)).all()
        assert decode_view(modality, part) is not None
