"""Text that is always there: what numpy, scipy and scikit-learn document, read from their sources."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

PARTS: Final = {
    "numpy": ("lib", "ma", "polynomial", "linalg", "fft", "_core"),
    "sklearn": ("",),
    "scipy": (
        "stats",
        "optimize",
        "signal",
        "spatial",
        "interpolate",
        "ndimage",
        "linalg",
        "integrate",
        "sparse",
        "special",
        "io",
        "cluster",
        "fft",
    ),
}
"""Packages that deltamesh depends on, and the folders of each that hold much prose."""
LITERAL_CHARACTERS_MIN: Final = 160
"""Shorter literals are a line that names, not prose that tells."""
_SKIPPED: Final = frozenset({"tests", "externals"})
_SUFFIXES: Final = frozenset({".py", ".rst"})
# Every long literal, not only documentation strings: numpy attaches its own by calls. An expression finds
# them in a tenth of a parser's time; the code it takes for text where quotes mislead it is not prose.
_LITERAL: Final = re.compile(r'"""(.*?)"""', re.DOTALL)
_ROLE: Final = re.compile(r":[a-z:]+:`~?([^`]*)`")


def package_documents() -> Iterator[str]:
    """The long literals and .rst files of PARTS, in a fixed order, without the marks inside a line.

    The same for the same versions of the packages. What is not installed, or without sources, or cannot be
    read, is passed over.
    """
    for path in _sources():
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        for document in [text] if path.suffix == ".rst" else _LITERAL.findall(text):
            if len(document) >= LITERAL_CHARACTERS_MIN:
                yield _ROLE.sub(r"\1", inspect.cleandoc(document)).replace("`", "")


def _sources() -> Iterator[Path]:
    for package, parts in PARTS.items():
        # Finding a top-level package does not import it.
        found = find_spec(package)
        if found is None or found.origin is None:
            continue
        root = Path(found.origin).parent
        for part in parts:
            inside = sorted(path for path in (root / part).rglob("*") if path.suffix in _SUFFIXES)
            yield from (path for path in inside if not _SKIPPED & set(path.relative_to(root).parts))
