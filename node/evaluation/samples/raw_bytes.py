"""Labelled bytes that need no network: pieces of files of eleven types, found installed or made."""

from __future__ import annotations

import base64
import json
import marshal
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from typing import Final

import numpy as np

from node.evaluation.data import LabelledData, LabelledItem

PIECE_BYTES: Final = 1_024
PIECES_PER_FILE_MAX: Final = 6
FILES_PER_CLASS_MAX: Final = 6
_SOURCES: Final = ("argparse", "datetime", "inspect", "tarfile", "socket", "pathlib")
"""Modules of the standard library whose source is read."""


def bytes_sample() -> LabelledData:
    """Pieces of 1,024 bytes; those of one file stay together. The same for the same versions of packages."""
    items = []
    for kind, read in KINDS.items():
        for number, content in zip(range(FILES_PER_CLASS_MAX), read(), strict=False):
            group = f"{kind} {number}"
            items += [LabelledItem(piece, kind, group) for piece in _pieces(content)]
    # A piece that two files share would be its own neighbour.
    unique = {item.view: item for item in items}
    return LabelledData("pieces of files by type", "bytes", tuple(unique.values()))


def _pieces(content: bytes) -> Iterator[bytes]:
    """Pieces from all over a file, without its first, which says what it is."""
    starts = np.linspace(PIECE_BYTES, len(content) - PIECE_BYTES, PIECES_PER_FILE_MAX).astype(int)
    whole = sorted({start // PIECE_BYTES * PIECE_BYTES for start in starts if start >= 0})
    yield from (content[start : start + PIECE_BYTES] for start in whole)


def _python() -> Iterator[bytes]:
    import importlib.util

    for name in _SOURCES:
        found = importlib.util.find_spec(name)
        if found is not None and found.loader is not None and found.origin is not None:
            with open(found.origin, "rb") as file:
                yield file.read()


def _bytecode() -> Iterator[bytes]:
    yield from (marshal.dumps(compile(source, "sample", "exec")) for source in _python())


def _texts() -> Iterator[str]:
    from pydoc_data.topics import topics

    long = sorted(topics.values(), key=len, reverse=True)
    yield from long[:FILES_PER_CLASS_MAX]


def _json() -> Iterator[bytes]:
    """Records of characters, of another script each."""
    for start in (0x0041, 0x0391, 0x0410, 0x0905, 0x3041, 0x2200):
        known = [(code, unicodedata.name(chr(code), "")) for code in range(start, start + 160)]
        records = [
            {"code": code, "name": name, "category": unicodedata.category(chr(code))}
            for code, name in known
            if name
        ]
        yield json.dumps(records).encode()


def _csv() -> Iterator[bytes]:
    from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine

    for load in (load_breast_cancer, load_wine, load_iris, load_diabetes):
        rows = load().data
        yield "\n".join(",".join(f"{value:.4g}" for value in row) for row in rows).encode()


def _photos() -> Iterator[bytes]:
    folder = files("sklearn.datasets") / "images"
    for name in ("china.jpg", "flower.jpg"):
        content = (folder / name).read_bytes()
        half = len(content) // 2
        yield from (content[:half], content[half:])


def _floats() -> Iterator[bytes]:
    from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

    for load in (load_breast_cancer, load_wine, load_diabetes):
        yield np.ascontiguousarray(load().data, dtype="<f8").tobytes()


def _pcm() -> Iterator[bytes]:
    """Chords of 16-bit samples."""
    time_s = np.arange(16_000) / 16_000
    for root_hz in (110.0, 147.0, 196.0, 262.0):
        chord = sum(np.sin(2 * np.pi * root_hz * ratio * time_s) for ratio in (1, 5 / 4, 3 / 2))
        yield np.rint(8_000 * np.asarray(chord)).astype("<i2").tobytes()


KINDS: Final[Mapping[str, Callable[[], Iterator[bytes]]]] = {
    "python source": _python,
    "bytecode": _bytecode,
    "english": lambda: (text.encode() for text in _texts()),
    "utf-16": lambda: (text.encode("utf-16-le") for text in _texts()),
    "deflate": lambda: (zlib.compress(text.encode()) for text in _texts()),
    "base64": lambda: (base64.encodebytes(photo) for photo in _photos()),
    "json": _json,
    "csv": _csv,
    "jpeg": _photos,
    "float64": _floats,
    "pcm": _pcm,
}
"""By class."""
