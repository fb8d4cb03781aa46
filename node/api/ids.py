"""Ids, numbers and pages as they stand in addresses."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import Annotated, Final, TypeVar

from fastapi import Path, Query

from node.api.errors import ApiError

NUMBER_MAX: Final = 2**53 - 1
"""What JSON and every language keeps exactly; well within SQLite's integers."""
PAGE_MAX: Final = 200

_HEX: Final = re.compile("[0-9a-fA-F]{64}")
_SCHEMA: Final = {"pattern": "^[0-9a-fA-F]{64}$"}
_SHOWN_CHARS: Final = 80

K = TypeVar("K", bytes, str)

Digest = Annotated[str, Path(description="64 hex digits.", json_schema_extra=_SCHEMA)]
Number = Annotated[int, Path(ge=0, le=NUMBER_MAX)]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX, description="How many at most.")]
Before = Annotated[
    int | None, Query(ge=0, le=NUMBER_MAX, description="Only what lies below: `next_before` of a page.")
]
After = Annotated[
    str | None,
    Query(description="Only keys above: `next_after` of a page.", json_schema_extra=_SCHEMA),
]


def bytes_of(text: str, param: str) -> bytes:
    """The 32 bytes of a key, digest or id in hex. Raises ApiError."""
    if _HEX.fullmatch(text) is None:
        shown = ascii(text[:_SHOWN_CHARS]) + ("..." if len(text) > _SHOWN_CHARS else "")
        raise ApiError(
            400,
            f"{param} is {shown}, not 64 hex digits: copy the whole id, as it stands in other answers",
            param=param,
            code="invalid_id",
        )
    return bytes.fromhex(text)


def unknown(what: str, advice: str, param: str | None = None, code: str | None = None) -> ApiError:
    """There is no such thing here, and what to do about it."""
    return ApiError(404, f"{what}: {advice}", param=param, code=code)


def key_after(text: str | None) -> bytes | None:
    """The key of `after`, where it is given. Raises ApiError."""
    return None if text is None else bytes_of(text, "after")


def page_of(keys: Sequence[K], after: K | None, limit: int) -> tuple[Sequence[K], K | None]:
    """Up to `limit` of the sorted keys above `after`, and where the next page begins, if there is one."""
    start = 0 if after is None else bisect_right(keys, after)
    page = keys[start : start + limit]
    return page, page[-1] if page and start + limit < len(keys) else None
