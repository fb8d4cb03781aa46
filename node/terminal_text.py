"""Text of strangers, fit for a terminal: what would steer it is written out."""

from __future__ import annotations

import re
from typing import Final

STEERS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What ends a line, moves the cursor, changes colours or the direction of writing."""
_LEFT_BARE_BY_JSON: Final = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def escaped(text: str) -> str:
    """The text on one line."""
    return STEERS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def escaped_json(document: str) -> str:
    """The same document: what JSON does not escape by itself can only stand in its strings."""
    return _LEFT_BARE_BY_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", document)
