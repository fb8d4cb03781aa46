"""Raw bytes from the standard library: its modules as source text and as compiled code."""

from __future__ import annotations

import marshal
import os
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from node.corpus import CorpusError
from node.modalities.samples.part import SEEDS, Part

PIECE_BYTES: Final = 1024
PIECES_MIN: Final[dict[Part, int]] = {"anchors": 1500, "items": 3000}
PIECES_MAX: Final[dict[Part, int]] = {"anchors": 2000, "items": 4000}


def program_items(part: Part) -> Iterator[bytes]:
    """Pieces of 1,024 bytes, about as many of source as of code. Every third module is for anchors.

    Raises CorpusError where the standard library came without its sources.
    """
    yield from _pieces(part)


@cache  # two parts of 4 MB at most
def _pieces(part: Part) -> list[bytes]:
    pieces = _pieces_of_modules(part)
    if part == "items":
        # Some modules are made from one another: what they share is an anchor, and no item.
        anchors = frozenset(_pieces_of_modules("anchors"))
        pieces = [piece for piece in pieces if piece not in anchors]
    if len(pieces) < PIECES_MIN[part]:
        raise CorpusError(
            f"The standard library holds {len(pieces)} pieces of {PIECE_BYTES} bytes, {PIECES_MIN[part]} are "
            "needed: install a Python that comes with its source files, or point to files of your own."
        )
    random.Random(f"deltamesh programs {SEEDS[part]}").shuffle(pieces)
    return pieces[: PIECES_MAX[part]]


def _pieces_of_modules(part: Part) -> list[bytes]:
    pieces: list[bytes] = []
    for index, path in enumerate(sorted(Path(os.__file__).parent.glob("*.py"))):
        if (index % 3 == 0) == (part == "anchors"):
            source = path.read_bytes()
            # Compiled here: the compiled files of an installation may be missing, or be of other options.
            code = marshal.dumps(compile(source, path.name, "exec", dont_inherit=True, optimize=0))
            for data in (source, code):
                last = len(data) - PIECE_BYTES
                pieces.extend(data[at : at + PIECE_BYTES] for at in range(0, last + 1, PIECE_BYTES))
    return pieces
