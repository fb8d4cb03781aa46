"""Who a dealer waits for before it deals, and whom it does not wait for afterwards."""

from __future__ import annotations

from collections.abc import Callable

import trio

from node.clock import now_ms
from node.network.host import Host, PeerConnected, PeerEvent
from protocol.epochs.view import Epoch
from protocol.quorum import has_quorum
from protocol.schedule import ShardRound, shard_of, slot_start_ms

NEWCOMER_GRACE_S = 45.0
"""For so long after the start a dealer waits for encoders it has never seen."""
ARRIVAL_MS_MAX = 3_000
"""So long after the slot began a dealer waits for expected encoders, at most an eighth of the slot."""
LOOK_EVERY_S = 0.1


class Audience:
    """The validators and encoders that a dealer is connected to. Tables are bounded by the epoch's encoders,
    and by who connects while the node starts.

    An encoder need not be connected between rounds: it dials its dealer shortly before their slot begins.
    """

    def __init__(self, host: Host, clock_ms: Callable[[], int] = now_ms) -> None:
        self._host = host
        self._clock_ms = clock_ms
        self._met: set[bytes] = set()  # who was connected while the node started
        self._absent: set[bytes] = set()  # who had not come when it was last dealt to
        self._started_s = trio.current_time()
        host.on_peer(self._meet)

    def _meet(self, event: PeerEvent) -> None:
        if isinstance(event, PeerConnected):
            if self._is_starting():  # later nobody asks, and who never deals would remember every guest
                self._met.add(event.public_key)
            self._absent.discard(event.public_key)

    async def gathers(self, epoch: Epoch, at: ShardRound) -> bool:
        """Wait up to a third of the slot for a quorum of validators and enough encoders of the shard.

        One that did not come the last time is not waited for beyond what that takes.
        """
        parameters = epoch.parameters
        began_ms = slot_start_ms(epoch.genesis, at.round)
        deadline_ms = began_ms + parameters.slot_ms // 3
        arrived_ms = began_ms + min(ARRIVAL_MS_MAX, parameters.slot_ms // 8)
        self._met &= epoch.encoders.keys()
        self._absent &= epoch.encoders.keys()
        while True:
            missing = self._missing(epoch, at)
            stake = sum(
                member.stake
                for key, member in epoch.validators.items()
                if key == self._host.public_key or self._host.is_connected(key)
            )
            present = len(shard_of(epoch, at)) - len(missing)
            enough = present >= parameters.encoders_min and has_quorum(stake, epoch.total_stake)
            newcomers = self._is_starting() and bool(missing - self._met)
            expected = self._clock_ms() < arrived_ms and bool(missing - self._absent)
            if enough and not newcomers and not expected:
                return True
            if self._clock_ms() >= deadline_ms:
                return enough
            await trio.sleep(LOOK_EVERY_S)

    def gone(self, epoch: Epoch, at: ShardRound) -> tuple[bytes, ...]:
        """Encoders of a shard just dealt to whose answers are not waited for, in key order.

        They have not come; what they commit through their witnesses counts all the same. While this node has
        just started those it never saw may not have found it yet.
        """
        missing = self._missing(epoch, at)
        self._absent |= missing
        return tuple(sorted(missing & self._met if self._is_starting() else missing))

    def _missing(self, epoch: Epoch, at: ShardRound) -> set[bytes]:
        return {key for key in shard_of(epoch, at) if not self._host.is_connected(key)}

    def _is_starting(self) -> bool:
        return trio.current_time() - self._started_s < NEWCOMER_GRACE_S
