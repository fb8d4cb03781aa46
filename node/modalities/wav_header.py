"""The sizes a WAV file says of itself: a header that promises more than there is, is refused."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, Final

from node.modalities.file_door import FileError

CHUNKS_MAX: Final = 64
"""Chunks before the sound; recorders write a handful."""
STREAMED: Final = 0xFFFFFFFF
"""What programs that write to a pipe say for a size they cannot know: all there is."""

_CHUNK: Final = struct.Struct("<4sI")


def check_wav_sizes(path: Path, file: BinaryIO, size_bytes: int) -> None:
    """Raise FileError where the chunks up to the sound do not lie inside the file; then rewind.

    The reader behind would take what there is for the whole.
    """
    place = 12
    for _ in range(CHUNKS_MAX):
        file.seek(place)
        head = file.read(_CHUNK.size)
        if len(head) < _CHUNK.size:
            raise FileError(f"{path} is a WAV sound that ends before its samples: save or copy it again.")
        name, chunk_bytes = _CHUNK.unpack(head)
        place += _CHUNK.size
        if name == b"data" and chunk_bytes == STREAMED:
            break
        if place + chunk_bytes > size_bytes:
            raise FileError(
                f"{path} says of itself that it has {chunk_bytes:,} bytes from byte {place:,} on, of which "
                f"{size_bytes - place:,} are there: save or copy it again."
            )
        if name == b"data":
            break
        place += chunk_bytes + chunk_bytes % 2
    else:
        raise FileError(f"{path} has {CHUNKS_MAX} chunks and no sound among them: save it again.")
    file.seek(0)
