"""Items: one canonical form of a text, so that every node gives it the same name.

Canonical: UTF-8, Unicode NFC, no control characters, words joined by one space, none at the ends, 1 byte to
8 KiB. NFC is stable for every character Unicode has assigned; one that is newer than some nodes' tables may
divide them over a round, which is then void.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from protocol.hashing import BytesLike, digest

TEXT_BYTES_MAX: Final = 8 * 1024


class ItemError(ValueError):
    """The bytes or text are no canonical item."""


def canonical_text(text: str) -> bytes:
    """Return the canonical bytes of a user's text: NFC, whitespace and control characters as single spaces.

    Raises ItemError for text without words, with lone surrogates, or above 8 KiB.
    """
    # Printable text has no control characters, and nearly every text is printable.
    spaced = text if text.isprintable() else "".join(" " if _is_control(c) else c for c in text)
    joined = " ".join(unicodedata.normalize("NFC", spaced).split())
    try:
        data = joined.encode()
    except UnicodeEncodeError as error:
        raise ItemError(
            f"character {error.start} is a lone surrogate, which UTF-8 cannot hold: "
            "decode the file with its own encoding"
        ) from error
    _check_size(len(data))
    return data


def check_canonical_text(data: BytesLike) -> str:
    """Return the text of canonical bytes. Raises ItemError, saying what is wrong, for any others."""
    _check_size(len(data))
    try:
        text = bytes(data).decode()
    except UnicodeDecodeError as error:
        raise ItemError(f"the item is not UTF-8 at byte {error.start}: {_NEXT_STEP}") from error
    if not text.isprintable() and any(map(_is_control, text)):
        raise ItemError(f"the item has a control character: {_NEXT_STEP}")
    if " ".join(text.split()) != text:
        raise ItemError(f"the item has whitespace other than single spaces between words: {_NEXT_STEP}")
    if not unicodedata.is_normalized("NFC", text):
        raise ItemError(f"the item is not in Unicode normal form C: {_NEXT_STEP}")
    return text


def item_id(data: BytesLike) -> bytes:
    """Return the 32-byte name of an item: the digest of its canonical bytes."""
    return digest("item", data)


_NEXT_STEP: Final = "pass the text through canonical_text before submitting it"


def _is_control(character: str) -> bool:
    return unicodedata.category(character) == "Cc"


def _check_size(size_bytes: int) -> None:
    if size_bytes == 0:
        raise ItemError("the item is empty: submit text with at least one word")
    if size_bytes > TEXT_BYTES_MAX:
        raise ItemError(f"the item has {size_bytes} bytes, {TEXT_BYTES_MAX} are allowed: cut it into chunks")
