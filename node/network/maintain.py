"""Keeps known addresses connected: dials again, soon at first, less often when a peer stays away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import structlog
import trio

from node.network.counters import Counters
from node.network.errors import DialError
from node.network.identity import parse_address
from node.network.limits import NetworkLimits

FIRST_PAUSE_S = 0.25
SOON_PAUSE_S = 2.0
"""Longest pause while a peer was connected in the last minute: a restarted one is back within about 3 s."""
LATE_PAUSE_S = 30.0
SOON_S = 60.0


SAY_AFTER_S = 5.0
"""A peer away for longer is not merely restarting: its operator, or this node's, has something to mend."""
ADDRESSES_EACH_MAX = 8
"""Addresses kept of one peer; more are left out."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Known:
    addresses: tuple[str, ...]
    pause_s: float
    due_s: float
    seen_s: float
    tried: int = 0
    """Dials so far: they go round the addresses."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Why each address fails, as last told to the operator."""


class Maintainer:
    """The addresses to keep connected, and when each is dialled next."""

    def __init__(
        self,
        dial: Callable[[str], Awaitable[bytes]],
        connected: Callable[[bytes], bool],
        limits: NetworkLimits,
        counters: Counters,
    ) -> None:
        self._dial = dial
        self._connected = connected
        self._limits = limits
        self._counters = counters
        self._known: dict[bytes, _Known] = {}
        self._dialling: set[bytes] = set()
        self._changed = trio.Event()

    def add(self, addresses: Iterable[str]) -> None:
        """Keep these peers connected too. Raises DialError if one is malformed; then none is added.

        A peer may have several addresses, the likeliest first; they replace those it had before.
        """
        by_key: dict[bytes, dict[str, None]] = {}
        for address in addresses:
            _, key = parse_address(address)
            by_key.setdefault(key, {})[address] = None
        now_s = trio.current_time()
        for key, found in by_key.items():
            wanted = tuple(found)[:ADDRESSES_EACH_MAX]
            known = self._known.get(key)
            if known is not None and known.addresses == wanted:
                continue
            if known is None and len(self._known) >= self._limits.maintained_max:
                self._counters.add("maintain.full")
                continue
            self._known[key] = _Known(wanted, FIRST_PAUSE_S, now_s, now_s)
        self._changed.set()

    def drop(self, key: bytes) -> None:
        """Dial a peer no more; its connection stays as it is."""
        self._known.pop(key, None)

    def peer_gone(self, key: bytes) -> None:
        """A connection ended: dial again soon."""
        known = self._known.get(key)
        if known is not None:
            known.pause_s = FIRST_PAUSE_S
            known.seen_s = trio.current_time()
            known.due_s = known.seen_s + FIRST_PAUSE_S
            self._changed.set()

    async def run(self) -> None:
        """Dial what is due, forever."""
        async with trio.open_nursery() as nursery:
            while True:
                now_s = trio.current_time()
                next_s = now_s + LATE_PAUSE_S
                for key, known in tuple(self._known.items()):
                    if key in self._dialling or self._connected(key):
                        continue
                    if known.due_s <= now_s:
                        self._dialling.add(key)
                        nursery.start_soon(self._try, key, known)
                    else:
                        next_s = min(next_s, known.due_s)
                self._changed = trio.Event()
                with trio.move_on_at(next_s):
                    await self._changed.wait()

    async def _try(self, key: bytes, known: _Known) -> None:
        address = known.addresses[known.tried % len(known.addresses)]
        next_s = FIRST_PAUSE_S
        try:
            await self._dial(address)
            known.seen_s = trio.current_time()
            known.pause_s = FIRST_PAUSE_S
            known.reasons.clear()
        except DialError as error:
            self._counters.add("maintain.failed_dials")
            away_s = trio.current_time() - known.seen_s
            if away_s > SAY_AFTER_S and known.reasons.get(address) != str(error):
                known.reasons[address] = str(error)
                log.warning("peer.unreachable", peer=key.hex()[:8], reason=str(error))
            known.tried += 1
            if known.tried % len(known.addresses) == 0:
                # Once round: the pause is between rounds, not between the addresses of one peer.
                known.pause_s = min(known.pause_s * 2, SOON_PAUSE_S if away_s < SOON_S else LATE_PAUSE_S)
                next_s = known.pause_s
        finally:
            known.due_s = trio.current_time() + next_s
            self._dialling.discard(key)
            self._changed.set()
