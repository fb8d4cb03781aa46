"""Memory a node and its model's process share: rows are written once by the one and read by the other."""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.encoders.encoder import DIMENSIONS, EncoderError

ROW_BYTES: Final = 4 * DIMENSIONS
SLAB_BYTES_MAX: Final = 1 << 30
"""262,144 rows."""


class Slab:
    """One end of the memory behind a descriptor; it has no name, and is gone when both ends are closed."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._rows = np.zeros((0, DIMENSIONS), "<f4")

    @classmethod
    def new(cls) -> Slab:
        """Empty memory, for both ends to open."""
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("deltamesh-answers", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            # Were the model to cut it short, reading the rest would end the node (SIGBUS); nor may it forbid
            # that the memory grows.
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
            return cls(descriptor)
        with tempfile.TemporaryFile() as file:  # systems without it: the page cache, seldom written out
            return cls(os.dup(file.fileno()))

    def close(self) -> None:
        """Close this end; arrays handed out stay what they are."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def rows(self, count: int) -> NDArray[np.float32]:
        """The first so many rows, float32 [count, DIMENSIONS], shared. Grows the memory where it is smaller.

        Raises EncoderError for more than SLAB_BYTES_MAX.
        """
        if count > len(self._rows):
            size = count * ROW_BYTES
            if size > SLAB_BYTES_MAX:
                raise EncoderError(f"{count} views at once are over {SLAB_BYTES_MAX >> 30} GiB of answers")
            if os.fstat(self.descriptor).st_size < size:
                os.ftruncate(self.descriptor, size)
            # The map before it is unmapped with its last array.
            self._rows = np.frombuffer(mmap.mmap(self.descriptor, size), "<f4").reshape(count, DIMENSIONS)
        return self._rows[:count]
