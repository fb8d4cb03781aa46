"""Files made to harm whoever reads them, each with what its refusal must say."""

from __future__ import annotations

import io
import os
import socket
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from PIL import Image


@dataclass(frozen=True, slots=True)
class Attack:
    """One file: `write` makes it at a path."""

    name: str
    modality: str
    write: Callable[[Path], object]
    reason: str
    """A regular expression that its refusal matches."""


def _png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG that says its size, with a little of what should follow."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n"]
    for name, data in ((b"IHDR", header), *chunks, (b"IDAT", zlib.compress(bytes(4096))), (b"IEND", b"")):
        parts += [struct.pack(">I", len(data)), name, data, struct.pack(">I", zlib.crc32(name + data))]
    return b"".join(parts)


def _image(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, kind, **options)
    return buffer.getvalue()


def _sound(kind: str, subtype: str = "PCM_16", channels: int = 1) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(2).uniform(-0.5, 0.5, (16_000, channels))
    soundfile.write(buffer, noise, 16_000, format=kind, subtype=subtype)
    return buffer.getvalue()


def _patched(data: bytes, place: int, value: bytes) -> bytes:
    return data[:place] + value + data[place + len(value) :]


def _wav(
    rate_hz: int = 16_000, channels: int = 1, data_bytes: int = 8_000, code: int = 1, bits: int = 16
) -> bytes:
    """A WAV file of zeros that says of itself whatever it is told to."""
    block = min(channels * bits // 8, 65_535)
    form = struct.pack("<HHIIHH", code, channels, rate_hz, min(rate_hz * block, 2**32 - 1), block, bits)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", data_bytes)
    return b"RIFF" + struct.pack("<I", 36 + 8_000) + body + bytes(8_000)


def _npy(header: str, values: bytes = b"") -> bytes:
    text = header.encode("latin1")
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + values


def _write_objects(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)


def _write_zip(path: Path) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, a=np.zeros(1 << 16))


def _parquet(table: pa.Table, **options: object) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def _write_many_rows(path: Path) -> None:
    """A few kilobytes that unpack to 9 million rows."""
    path.write_bytes(_parquet(pa.table({"a": pa.nulls(9_000_000, pa.float64())})))


def _bind(path: Path) -> None:
    # A socket's path has to be short, and its file stays after the socket is closed.
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(path.name)
    finally:
        os.chdir(before)


def _write_sparse(path: Path) -> None:
    """Four gigabytes of nothing, which take no room on the disk."""
    with path.open("wb") as file:
        file.truncate(1 << 32)


def _text(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


_TABLE: Final = pa.table({"a": np.arange(1000.0), "b": np.arange(1000.0) ** 2})
_GIF: Final = _image("GIF")
_FLAC: Final = _sound("FLAC")

SOUND_FILES: Final = (
    Attack("sound.png", "image", _text(_image("PNG")), ""),
    Attack("sound.jpg", "image", _text(_image("JPEG")), ""),
    Attack("sound.webp", "image", _text(_image("WEBP")), ""),
    Attack("sound.flac", "audio", _text(_FLAC), ""),
    Attack("sound.csv", "series", _text(b"".join(b"%d,%d\n" % (n * n, -n) for n in range(64))), ""),
    Attack("sound.parquet", "series", _text(_parquet(_TABLE)), ""),
)
"""Files that are read: what the libraries need anyway is in memory after them."""
ATTACKS: Final = (
    Attack("bomb.png", "image", _text(_png(20_000, 20_000)), "too large to decode .*400000000 pixels"),
    Attack("wide.png", "image", _text(_png(100_000, 8)), "100,000 by 8 pixels"),
    Attack("wide-and-flat.png", "image", _text(_png(30_000, 9)), "30,000 by 9 pixels, longer than 12 times"),
    Attack("gigantic.png", "image", _text(_png(2**31 - 1, 2**31 - 1)), "too large to decode|pixels"),
    Attack("nothing-inside.png", "image", _text(_png(7_000, 7_000)), "damaged or cut off"),
    Attack(
        "notes.png",
        "image",
        _text(_png(64, 64, (b"zTXt", b"note\0\0" + zlib.compress(bytes(100 << 20))))),
        "damaged or cut off",
    ),
    Attack(
        "profile.png",
        "image",
        _text(_png(64, 64, (b"iCCP", b"icc\0\0" + zlib.compress(bytes(100 << 20))))),
        "damaged or cut off",
    ),
    Attack("truncated.png", "image", _text(_image("PNG")[:-9_000]), "damaged or cut off"),
    Attack("truncated.jpg", "image", _text(_image("JPEG")[:-9_000]), "damaged or cut off"),
    Attack("header-only.jpg", "image", _text(_image("JPEG")[:100]), "damaged or cut off"),
    Attack("truncated.webp", "image", _text(_image("WEBP")[:-900]), "damaged or cut off"),
    Attack(
        "screen.gif", "image", _text(_patched(_GIF, 6, b"\xff\xff\xff\xff")), "65,535 by 65,535|too large"
    ),
    Attack("flac.png", "image", _text(_FLAC), "a FLAC sound, not an image"),
    Attack("random.jpg", "image", _text(np.random.default_rng(3).bytes(4096)), "of a kind unknown here"),
    Attack("picture.wav", "audio", _text(_image("PNG")), "a PNG image, not a sound"),
    Attack("promises.wav", "audio", _text(_wav(data_bytes=2**32 - 2)), "4,294,967,294 bytes"),
    Attack(
        "chunk.wav", "audio", _text(b"RIFF\0\0\0\0WAVELIST\xf0\xff\xff\xff" + bytes(64)), "4,294,967,280 b"
    ),
    Attack(
        "chunks.wav", "audio", _text(b"RIFF\0\0\0\0WAVE" + b"junk\0\0\0\0" * 9999), "64 chunks and no sound"
    ),
    Attack("no-samples.wav", "audio", _text(_wav()[:36]), "ends before its samples"),
    Attack("fast.wav", "audio", _text(_wav(rate_hz=2**31 - 1)), "2,147,483,647 samples a second"),
    Attack("slow.wav", "audio", _text(_wav(rate_hz=1)), "1 samples a second"),
    Attack("many-channels.wav", "audio", _text(_wav(channels=1_000)), "1000 channels"),
    Attack("too-many-channels.wav", "audio", _text(_wav(channels=65_535)), "damaged or cut off"),
    Attack(
        "not-a-number.wav", "audio", _text(_wav(code=3, bits=32)[:-8_000] + b"\xff" * 8_000), "not numbers"
    ),
    Attack("silent.wav", "audio", _text(_wav()), "60 dB below"),
    Attack("packed.wav", "audio", _text(_sound("WAV", "IMA_ADPCM")), "coded as IMA_ADPCM"),
    Attack("truncated.flac", "audio", _text(_FLAC[:-8_000]), "damaged or cut off|ends after"),
    Attack("long.flac", "audio", _text(_patched(_FLAC, 22, b"\xff\xff\xff\xff")), "lasts"),
    Attack("header-only.flac", "audio", _text(_FLAC[:40]), "damaged or cut off"),
    Attack("objects.npy", "series", _write_objects, "pickled objects"),
    Attack(
        "promises.npy",
        "series",
        _text(_npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 4)}")),
        "4,000,000,000,000 values",
    ),
    Attack(
        "more-than-there-is.npy",
        "series",
        _text(_npy("{'descr': '<f8', 'fortran_order': True, 'shape': (1000, 4)}", bytes(400))),
        "32,000 bytes of values and has 400",
    ),
    Attack(
        "negative.npy",
        "series",
        _text(_npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-8, -8)}", bytes(512))),
        "shape",
    ),
    Attack(
        "long-header.npy",
        "series",
        _text(b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + b" " * 99_999),
        "damaged NPY",
    ),
    Attack("code.npy", "series", _text(_npy("{'descr': __import__('os').system('false')}")), "damaged NPY"),
    Attack("nested.npy", "series", _text(_npy("(" * 3_000)), "damaged NPY"),
    Attack("death.npz", "series", _write_zip, "a ZIP archive, not a series"),
    Attack("endless.csv", "series", _text(b"1," * (4 << 20)), "line 1, has over 65,536 bytes"),
    Attack("endless-later.csv", "series", _text(b"1,2\n" * 99 + b"1" * (8 << 20)), "no table of numbers"),
    Attack("quote.csv", "series", _text(b'1,"' + b"2,3\n" * 999), "no table|not numbers|known and change"),
    Attack(
        "long-quote.csv",
        "series",
        _text((b'1,"' + b"2" * 60_000 + b"\n") + (b"2" * 60_000 + b"\n") * 9),
        "quot",
    ),
    Attack("columns.csv", "series", _text((b",".join([b"1"] * 30_000) + b"\n") * 20), "30,000 columns"),
    Attack("words.csv", "series", _text(b"when,what\n1,x\n2,y\n"), "'what' holds 'x'"),
    Attack("late-word.csv", "series", _text(b"1,2\n" * 99 + b"3,x\n"), "invalid value 'x'"),
    Attack("ragged.csv", "series", _text(b"1,2\n" * 99 + b"3\n"), "no table of numbers"),
    Attack("latin.csv", "series", _text("größe,b\n1,2\n".encode("latin1")), "kind unknown here|UTF-8"),
    Attack("constant.csv", "series", _text(b"1,2\n" * 99), "known and change"),
    Attack("short.csv", "series", _text(b"1,2\n3,5\n"), "has 2 steps"),
    Attack("rows.parquet", "series", _write_many_rows, "9,000,000 rows"),
    Attack("truncated.parquet", "series", _text(_parquet(_TABLE)[:-100]), "without its end"),
    Attack("start-only.parquet", "series", _text(b"PAR1"), "without its end"),
    Attack(
        "footer.parquet",
        "series",
        _text(b"PAR1" + bytes(99) + b"\xff\xff\xff\x7fPAR1"),
        "2,147,483,647 bytes of",
    ),
    Attack(
        "garbage.parquet",
        "series",
        _text(b"PAR1" + b"\x99" * 4_000 + struct.pack("<I", 4_000) + b"PAR1"),
        "not a sound Parquet file",
    ),
    Attack(
        "pages.parquet", "series", _text(_patched(_parquet(_TABLE), 4, b"\xff" * 4_000)), "absurd|not a sound"
    ),
    Attack("words.parquet", "series", _text(_parquet(pa.table({"a": ["x", "y"]}))), "not numbers, a"),
    Attack("lists.parquet", "series", _text(_parquet(pa.table({"a": [[1.0], [2.0]]}))), "nested|not numbers"),
    Attack("empty", "bytes", _text(b""), "is empty"),
    Attack("folder", "bytes", Path.mkdir, "is a folder"),
    Attack("pipe", "bytes", os.mkfifo, "is a pipe"),
    Attack("socket", "bytes", _bind, "is a socket"),
    Attack("device", "bytes", lambda path: path.symlink_to("/dev/zero"), "is a device"),
    Attack("loop", "bytes", lambda path: path.symlink_to(path), "cannot be read"),
    Attack("nowhere", "bytes", lambda path: path.symlink_to(path.parent / "gone"), "cannot be read"),
    Attack(
        "sparse",
        "bytes",
        _write_sparse,
        "are read at",
    ),
    Attack(
        "sparse.png",
        "image",
        _write_sparse,
        "read at",
    ),
)
