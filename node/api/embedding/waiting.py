"""Waiting for certificates: one listener to the node's events for all requests that wait."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from node.api.embedding.limits import LOOK_AGAIN_S, WAITING_MAX, WAITING_PER_CLIENT_MAX
from node.api.errors import ApiError
from node.api.events import EventHub, Kind

_BUSY_RETRY_S: Final = "10"


class Certificates:
    """Wakes those who wait whenever a round is certified. On the API's loop only."""

    def __init__(self, hub: EventHub) -> None:
        self._hub = hub
        self._waiting = 0
        self._waiting_of: Counter[str] = Counter()
        self._certified = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return self._waiting

    @asynccontextmanager
    async def place(self, client: str) -> AsyncIterator[None]:
        """A place among those who wait, left with the block.

        Raises ApiError when all are taken, or all that one client may have.
        """
        if self._waiting >= WAITING_MAX:
            raise _too_many(f"{WAITING_MAX} requests wait")
        if self._waiting_of[client] >= WAITING_PER_CLIENT_MAX:
            raise _too_many(f"{WAITING_PER_CLIENT_MAX} requests of yours wait")
        self._waiting += 1
        self._waiting_of[client] += 1
        if self._follower is None:
            self._follower = asyncio.create_task(self._follow(), name="certificates")
        try:
            yield
        finally:
            self._waiting -= 1
            self._waiting_of[client] -= 1
            if not self._waiting_of[client]:
                del self._waiting_of[client]
            if not self._waiting and self._follower is not None:
                # Nothing of a client that went away stays behind.
                self._follower.cancel()
                self._follower = None

    def mark(self) -> asyncio.Event:
        """Set by the next certificate; take it before looking into the store, or one may slip through."""
        return self._certified

    async def wait(self, mark: asyncio.Event) -> None:
        """Until a certificate came since the mark was taken, or it is time to look all the same."""
        with suppress(TimeoutError):
            await asyncio.wait_for(mark.wait(), LOOK_AGAIN_S)

    async def _follow(self) -> None:
        while True:
            async with self._hub.subscribe(kinds=(Kind.CERTIFIED,)) as events:
                self._wake()  # what came while nobody listened
                async for _ in events:
                    self._wake()
            # Cut off, for having been too slow, or for the node ends: never spin.
            await asyncio.sleep(LOOK_AGAIN_S)

    def _wake(self) -> None:
        self._certified.set()
        self._certified = asyncio.Event()


def _too_many(what: str) -> ApiError:
    return ApiError(
        429,
        f"{what} for certificates already: the items are queued, ask again in a while, or ask with "
        "`Prefer: respond-async`",
        code="too_many_waiting",
        headers={"Retry-After": _BUSY_RETRY_S},
    )
