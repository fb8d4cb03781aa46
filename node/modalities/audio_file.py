"""Sound files: WAV and FLAC of any rate and number of channels, cut into pieces of about two seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from node.modalities.audio_item import BLOCK_FRAMES, FRAMES_MAX, RATE_HZ, encode_audio
from node.modalities.file_door import (
    FileError,
    FileKind,
    insist_on_count,
    kind_of,
    open_file,
    read_head,
    reason_of,
)
from node.modalities.mdct import FRAME_SAMPLES
from node.modalities.resample import resampled
from node.modalities.wav_header import check_wav_sizes

if TYPE_CHECKING:
    from soundfile import SoundFile

FILE_BYTES_MAX: Final = 1 << 30
DURATION_S_MAX: Final = 7_200
"""Two hours come to 230 MB of items."""
RATES_HZ: Final = (4_000, 384_000)
CHANNELS_MAX: Final = 64
REST_SAMPLES_MIN: Final = RATE_HZ // 2
"""A last piece shorter than half a second is left out, unless it is the only one."""
SILENCE_RMS_MAX: Final = 1e-3
"""60 dB below full scale: a quieter piece is left out."""
PIECE_SAMPLES: Final = FRAMES_MAX * FRAME_SAMPLES

KINDS: Final = {FileKind.WAV: "WAV", FileKind.FLAC: "FLAC"}
_SUBTYPES: Final = frozenset(
    {"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"}
)
_BLOCK_VALUES: Final = 1 << 18


def audio_items(path: Path, items_max: int | None = None) -> list[bytes]:
    """The sound of a file as items, in order. Raises FileError.

    Channels are averaged, the rate becomes 16 kHz (`resampled`), samples beyond full scale are clipped. A
    piece is 128 frames; the last is filled up with silence to a multiple of 8 frames, and left out below
    REST_SAMPLES_MIN. Pieces quieter than SILENCE_RMS_MAX are left out.
    """
    import soundfile

    with open_file(path, FILE_BYTES_MAX) as (file, size_bytes):
        kind = kind_of(read_head(file))
        if kind not in KINDS:
            raise FileError(f"{path} is {kind}, not a sound: use WAV or FLAC.")
        if kind is FileKind.WAV:
            check_wav_sizes(path, file, size_bytes)
        try:
            with soundfile.SoundFile(file) as sound:
                _insist_on_bounds(path, sound)
                insist_on_count(path, _count(sound.frames, sound.samplerate), items_max)
                items = [encode_audio(piece) for piece in _pieces(_blocks(path, sound), sound.samplerate)]
        except soundfile.LibsndfileError as error:
            raise FileError(
                f"{path} is {kind}, but damaged or cut off ({reason_of(error)}): save or copy it again."
            ) from error
    if not items:
        raise FileError(f"{path} holds nothing louder than 60 dB below full scale: leave it out.")
    return items


def _insist_on_bounds(path: Path, sound: SoundFile) -> None:
    if sound.subtype not in _SUBTYPES:
        raise FileError(f"{path} is coded as {sound.subtype}: save it as PCM of 16 or 24 bits.")
    if not RATES_HZ[0] <= sound.samplerate <= RATES_HZ[1]:
        raise FileError(
            f"{path} says that it has {sound.samplerate:,} samples a second, {RATES_HZ[0]:,} to "
            f"{RATES_HZ[1]:,} are read: save it at 16,000."
        )
    if sound.channels > CHANNELS_MAX:
        raise FileError(
            f"{path} has {sound.channels} channels, {CHANNELS_MAX} are read at most: mix it down to one."
        )
    if sound.frames > DURATION_S_MAX * sound.samplerate:
        raise FileError(
            f"{path} says that it lasts {sound.frames / sound.samplerate:,.0f} s, {DURATION_S_MAX:,} are "
            "read at most: cut it into parts."
        )


def _count(frames: int, rate_hz: int) -> int:
    """The pieces of a sound of that length, silent ones among them."""
    whole, rest = divmod(-(-frames * RATE_HZ // rate_hz), PIECE_SAMPLES)
    return whole + (rest >= REST_SAMPLES_MIN or not whole)


def _blocks(path: Path, sound: SoundFile) -> Iterator[npt.NDArray[np.float32]]:
    """The mean of all channels, in blocks; as many samples as the header says, or FileError."""
    frames_read = 0
    while frames_read < sound.frames:
        block = sound.read(_BLOCK_VALUES // sound.channels, dtype="float32", always_2d=True)
        if not len(block):
            raise FileError(
                f"{path} ends after {frames_read:,} of {sound.frames:,} samples: save or copy it again."
            )
        if not np.isfinite(block).all():
            raise FileError(f"{path} holds samples that are not numbers: save it as PCM of 16 bits.")
        frames_read += len(block)
        yield np.clip(block, -1.0, 1.0).mean(axis=1)


def _pieces(blocks: Iterator[npt.NDArray[np.float32]], rate_hz: int) -> Iterator[npt.NDArray[np.float32]]:
    """Pieces of an item's length that are not silent."""
    held = np.zeros(0, np.float32)
    whole_pieces = 0
    for block in resampled(blocks, rate_hz, RATE_HZ):
        held = np.concatenate([held, np.clip(block, -1.0, 1.0)])
        while len(held) >= PIECE_SAMPLES:
            piece, held = held[:PIECE_SAMPLES], held[PIECE_SAMPLES:]
            whole_pieces += 1
            if _is_heard(piece):
                yield piece
    if len(held) and (len(held) >= REST_SAMPLES_MIN or not whole_pieces) and _is_heard(held):
        unit = BLOCK_FRAMES * FRAME_SAMPLES
        yield np.concatenate([held, np.zeros(-len(held) % unit, np.float32)])


def _is_heard(piece: npt.NDArray[np.float32]) -> bool:
    return bool(np.sqrt(np.mean(np.square(piece, dtype=np.float64))) > SILENCE_RMS_MAX)


__all__ = ["audio_items"]
