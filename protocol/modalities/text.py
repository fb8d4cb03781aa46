"""Text: units are words, and masked words are removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from protocol.items import TEXT_BYTES_MAX, check_canonical_text
from protocol.modalities.modality import Span


class Text:
    """Words of canonical text; a placeholder for masked ones would be a word of its own to every model."""

    name: Final = "text"
    item_bytes_max: Final = TEXT_BYTES_MAX
    share_percent_max: Final = 60
    masks_keep_size: Final = False
    is_cut_in_two: Final = True

    def check(self, data: bytes) -> None:
        """Raises ItemError."""
        check_canonical_text(data)

    def unit_sizes(self, data: bytes) -> Sequence[int]:
        """Bytes of each word, without spaces."""
        return [len(word) for word in data.split(b" ")]

    def keep(self, data: bytes, spans: Sequence[Span]) -> bytes:
        """The words inside the spans, joined by one space."""
        words = data.split(b" ")
        return b" ".join(word for start, stop in spans for word in words[start:stop])
