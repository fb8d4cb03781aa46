"""An encoder in one function: which words a text has, the long ones counting for more.

Try it:  deltamesh models check ./docs/examples/bag_of_words.py:encode
Run it:  deltamesh run encoder --model ./docs/examples/bag_of_words.py:encode
"""

from __future__ import annotations

import re
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

WIDTH = 4096
_WORD = re.compile(r"\w+")


def encode(views: list[str]) -> NDArray[np.float32]:
    """One row for each view, float32 [n, WIDTH]; any width will do."""
    rows = np.zeros((len(views), WIDTH), dtype=np.float32)
    for row, view in zip(rows, views, strict=True):
        for word in _WORD.findall(view.lower()):
            # crc32, not hash(): hash() gives a word another place in every process.
            place = crc32(word.encode())
            row[place % WIDTH] += len(word) if place & 0x8000_0000 else -len(word)
    return rows
