"""The page's files, read once into a table: what is not in it is not there, whatever path is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from blake3 import blake3

PAGE: Final = "index.html"

_FOLDER: Final = Path(__file__).parent
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the page; `etag` is a digest of its bytes, in quotes."""

    content: bytes
    media_type: str
    etag: str


@cache
def assets() -> Mapping[str, Asset]:
    """Every file of the page by its path below `static`, and `PAGE`."""
    static = _FOLDER / "static"
    files = {path.relative_to(static).as_posix(): path for path in sorted(static.rglob("*"))}
    return MappingProxyType(
        {
            name: _asset(path)
            for name, path in {**files, PAGE: _FOLDER / PAGE}.items()
            if path.suffix in _TYPES
        }
    )


def _asset(path: Path) -> Asset:
    content = path.read_bytes()
    return Asset(content, _TYPES[path.suffix], f'"{blake3(content).hexdigest()[:32]}"')
