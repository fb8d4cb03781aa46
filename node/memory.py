"""Memory of the C library: given back when it is free, not kept for later in every thread."""

from __future__ import annotations

import contextlib
import ctypes

# From glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

LARGE_BYTES = 1 << 20
ARENAS_MAX = 2
GIVE_BACK_EVERY_S = 60.0


def give_back_free_memory() -> None:
    """Have large blocks returned to the system when they are freed. Does nothing where there is no glibc.

    Left alone, glibc keeps what batches of embeddings once took, in an arena per thread.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_ARENA_MAX, ARENAS_MAX)
        library.mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, LARGE_BYTES)


def give_back_now() -> None:
    """Return to the system what is free at this moment, also between blocks in use. Takes milliseconds."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


async def keep_giving_back() -> None:
    """Give back what is free every GIVE_BACK_EVERY_S, until cancelled.

    Answers and reports of a round are freed between what stays; the holes they leave do not fit the next
    round's, and the heap grows by them for hours.
    """
    import trio  # not for the processes beside a node, which have no use for it

    while True:
        await trio.sleep(GIVE_BACK_EVERY_S)
        await trio.to_thread.run_sync(give_back_now)
