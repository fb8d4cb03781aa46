"""Raw bytes: units are chunks of 16, and masked chunks are removed, since every byte value is data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from protocol.items import ItemError
from protocol.modalities.modality import Span

CHUNK_BYTES: Final = 16


class RawBytes:
    """Any 1 to 8,192 bytes."""

    name: Final = "bytes"
    item_bytes_max: Final = 8 * 1024
    share_percent_max: Final = 60
    masks_keep_size: Final = False
    is_cut_in_two: Final = False

    def check(self, data: bytes) -> None:
        """Raises ItemError."""
        if not 1 <= len(data) <= self.item_bytes_max:
            raise ItemError(f"the item has {len(data)} bytes, 1 to {self.item_bytes_max} are allowed")

    def unit_sizes(self, data: bytes) -> Sequence[int]:
        """16 each; the last chunk may be shorter."""
        return [min(CHUNK_BYTES, len(data) - start) for start in range(0, len(data), CHUNK_BYTES)]

    def keep(self, data: bytes, spans: Sequence[Span]) -> bytes:
        """The chunks inside the spans, joined."""
        return b"".join(data[start * CHUNK_BYTES : stop * CHUNK_BYTES] for start, stop in spans)
