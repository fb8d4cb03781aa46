"""Bounds of a JSON body, held before it is parsed: parsing is what hostile JSON is written for."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from node.api.errors import ApiError

# A string, or one that never ends. Possessive throughout and never failing once it has begun: linear.
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_STRUCTURE: Final = b"[]{},"
_OTHERS: Final = bytes(set(range(256)) - set(_STRUCTURE))
_OPENING: Final = frozenset(b"[{")
_CLOSING: Final = frozenset(b"]}")


def checked_json(body: bytes, *, depth_max: int, elements_max: int) -> Any:
    """The document, parsed strictly: no NaN, no half surrogate pairs, no number out of range.

    Raises ApiError. Elements are all values but the outermost, members of objects counted once.
    """
    structure = _STRING.sub(b"", body).translate(None, _OTHERS)
    # An object or array that is not empty has one element more than commas; an empty one is one itself.
    elements = sum(structure.count(mark) for mark in (b",", b"[", b"{"))
    if elements > elements_max:
        raise ApiError(
            400,
            f"the JSON body has {elements} values, the bound is {elements_max}: send it in smaller parts",
            code="json_too_large",
        )
    if _depth(structure) > depth_max:
        raise ApiError(
            400,
            f"the JSON body is nested deeper than {depth_max}: nothing here asks for it",
            code="json_too_deep",
        )
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(
            400, f"the body is no JSON ({error}): send one document in UTF-8", code="json"
        ) from None


def _depth(structure: bytes) -> int:
    depth = deepest = 0
    for mark in structure:
        if mark in _OPENING:
            depth += 1
            deepest = max(deepest, depth)
        elif mark in _CLOSING:
            depth -= 1
    return deepest
