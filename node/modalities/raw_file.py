"""Any file as raw bytes: consecutive chunks of at most 8,192 bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from node.modalities.file_door import insist_on_count, open_file
from protocol.modalities import BYTES

FILE_BYTES_MAX: Final = 256 << 20


def raw_items(path: Path, items_max: int | None = None) -> list[bytes]:
    """The bytes of a file as items, in order, the last one as short as it is. Raises FileError."""
    with open_file(path, FILE_BYTES_MAX) as (file, size_bytes):
        insist_on_count(path, -(-size_bytes // BYTES.item_bytes_max), items_max)
        # A file that grows meanwhile is read to the size it had at the door.
        starts = range(0, size_bytes, BYTES.item_bytes_max)
        chunks = (file.read(min(BYTES.item_bytes_max, size_bytes - start)) for start in starts)
        return [chunk for chunk in chunks if chunk]
