"""Sound files become pieces of 16 kHz mono sound; resampling in blocks is resampling of the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from node.modalities import FileError
from node.modalities.audio_file import PIECE_SAMPLES, REST_SAMPLES_MIN, audio_items
from node.modalities.audio_item import COEFFICIENT_MAX, audio_coefficients, decode_audio, encode_audio
from node.modalities.resample import resampled
from protocol.modalities import AUDIO, Units

Samples = npt.NDArray[np.generic]


def tone(seconds: float, rate_hz: int = 16_000, pitch_hz: float = 440.0, loudness: float = 0.5) -> Samples:
    return loudness * np.sin(2 * np.pi * pitch_hz * np.arange(round(seconds * rate_hz)) / rate_hz)


def written(folder: Path, samples: Samples, rate_hz: int = 16_000, name: str = "a.wav", **how: str) -> Path:
    soundfile.write(folder / name, samples, rate_hz, **how)
    return folder / name


@settings(deadline=None, max_examples=20)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(8_000, 2, 1), (44_100, 160, 441), (48_000, 1, 3), (22_050, 320, 441), (16_000, 1, 1)]),
    st.integers(1, 20_000),
    st.integers(1, 6_000),
)
def test_resampled__is_the_resampled_whole(
    seed: int, rate: tuple[int, int, int], length: int, block: int
) -> None:
    samples = np.random.default_rng(seed).standard_normal(length).astype(np.float32)
    rate_hz, up, down = rate
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("node.modalities.resample._BLOCK_SAMPLES", 2_000)
        blocks = (samples[start : start + block] for start in range(0, length, block))
        by_blocks = np.concatenate(list(resampled(blocks, rate_hz, 16_000)))
    whole = resample_poly(samples, up, down)
    assert by_blocks.shape == whole.shape
    assert np.abs(by_blocks - whole).max() < 1e-5


def test_resampled__takes_the_nearest_small_ratio_of_odd_rates() -> None:
    one_second = np.ones(44_101, np.float32)
    samples = np.concatenate(list(resampled([one_second], 44_101, 16_000)))
    assert len(samples) == pytest.approx(16_000, rel=1e-3)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_audio_items__hold_the_sound_of_the_file(tmp_path: Path, rate_hz: int, channels: int) -> None:
    samples = np.repeat(tone(5.0, rate_hz)[:, None], channels, axis=1)
    items = audio_items(written(tmp_path, samples, rate_hz, subtype="PCM_24"))
    assert [len(Units.of(AUDIO, item)) for item in items] == [128, 128, 64]
    sound = np.concatenate([decode_audio(item) for item in items])[: 5 * 16_000]
    inner = slice(200, -200)  # the resampling filter rings at the ends
    assert np.abs(sound - tone(5.0))[inner].max() < 4e-3


def test_audio_items__of_wav_and_flac_are_the_same(tmp_path: Path) -> None:
    samples = (tone(1.0) * 32767).astype(np.int16)
    wav = written(tmp_path, samples, name="a.wav")
    flac = written(tmp_path, samples, name="a.flac")
    assert audio_items(wav) == audio_items(flac)


def test_audio_items__average_the_channels(tmp_path: Path) -> None:
    left, right = tone(1.0, pitch_hz=300), tone(1.0, pitch_hz=2_000)
    both = audio_items(written(tmp_path, np.stack([left, right], axis=1), subtype="FLOAT"))
    mean = audio_items(written(tmp_path, (left + right) / 2, name="b.wav", subtype="FLOAT"))
    step = COEFFICIENT_MAX / 32767
    assert np.abs(audio_coefficients(both[0]) - audio_coefficients(mean[0])).max() <= 1.01 * step


def test_audio_items__leave_silent_pieces_out(tmp_path: Path) -> None:
    silence = np.zeros(PIECE_SAMPLES)
    loud = tone(PIECE_SAMPLES / 16_000)
    path = written(tmp_path, np.concatenate([silence, loud, silence, loud, silence]), subtype="PCM_16")
    assert audio_items(path) == audio_items(written(tmp_path, np.tile(loud, 2), name="b.wav"))


@pytest.mark.parametrize(
    ("samples", "blocks"),
    [
        (PIECE_SAMPLES, [16]),
        (PIECE_SAMPLES + REST_SAMPLES_MIN - 1, [16]),
        (PIECE_SAMPLES + REST_SAMPLES_MIN, [16, 4]),
        (100, [1]),
        (2_049, [2]),
    ],
)
def test_audio_items__fill_up_the_last_piece_or_leave_it_out(
    tmp_path: Path, samples: int, blocks: list[int]
) -> None:
    path = written(tmp_path, tone(samples / 16_000))
    assert [AUDIO.shape(item)[0] // 8 for item in audio_items(path)] == blocks


def test_audio_items__of_a_stream_of_unknown_length_are_those_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, tone(1.0), subtype="PCM_16")
    data = path.read_bytes()
    place = data.index(b"data") + 4
    (tmp_path / "b.wav").write_bytes(data[:place] + b"\xff" * 4 + data[place + 4 :])
    assert audio_items(tmp_path / "b.wav") == audio_items(path)


def test_audio_items__refuse_a_file_that_lasts_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.modalities.audio_file.DURATION_S_MAX", 2)
    with pytest.raises(FileError, match="lasts 3 s, 2 are read"):
        audio_items(written(tmp_path, tone(3.0)))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 16), st.data())
def test_audio_views__of_a_mask_and_its_inverse_add_up_to_the_sound(
    seed: int, blocks: int, data: st.DataObject
) -> None:
    samples = np.random.default_rng(seed).uniform(-0.3, 0.3, blocks * 2048).astype(np.float32)
    units = Units.of(AUDIO, encode_audio(samples))
    start = data.draw(st.integers(0, len(units) - 1))
    stop = data.draw(st.integers(start + 1, len(units)))
    mask, inverse = units.keep([(start, stop)]), units.keep([(0, start), (stop, len(units))])
    whole = audio_coefficients(units.data)
    assert np.array_equal(audio_coefficients(mask) + audio_coefficients(inverse), whole)
    assert np.abs(decode_audio(mask) + decode_audio(inverse) - decode_audio(units.data)).max() < 1e-5
