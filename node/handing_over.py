"""When pending items go to the next round's dealer: as they come, not once a slot."""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from node.store import StoreError
from node.submissions import Submissions

GATHER_S = 0.03
"""Items that come together travel together: a request to a dealer costs more than an item does."""
LOOK_EVERY_S = 1.0
"""Another process may submit, a dealer may be away for a moment, the next epoch's record may come late."""

log = structlog.get_logger(__name__)


class HandingOver:
    """Keeps the dealer of the next slot supplied, so that an item that comes before it begins rides along.

    A call is idempotent (`Submissions.hand_over`), so looking too often costs a glance at the queue.
    """

    def __init__(self, submissions: Submissions, next_round: Callable[[], int]) -> None:
        """`next_round` is the one whose slot begins next."""
        self._submissions = submissions
        self._next_round = next_round
        self._woken = trio.Event()

    def wake(self) -> None:
        """Items came, or a round ended and made room. From the node's own loop only."""
        self._woken.set()

    async def run(self) -> None:
        """Hand over until cancelled."""
        while True:
            try:
                await self._submissions.hand_over(self._next_round())
            except StoreError as error:
                log.warning("items.not_handed_over", reason=str(error))
            with trio.move_on_after(LOOK_EVERY_S):
                await self._woken.wait()
            await trio.sleep(GATHER_S)
            self._woken = trio.Event()
