"""An encoder's connections to validators: a few that stand, and those of its shards while they last."""

from __future__ import annotations

import structlog
import trio

from node.address_book import AddressBook
from node.clock import now_ms
from node.epochs.admission import is_validator_of_late
from node.network.errors import DialError
from node.network.host import Host
from protocol.epochs.known import Epochs
from protocol.neighbours import (
    MEETING_SLOTS,
    counterparts,
    fetchers,
    meetings,
    standing_count,
    standing_order,
)
from protocol.schedule import round_at

LOOK_EVERY_S = 0.25
LEAD_MS_MAX = 5_000
"""A shard's dealer and witnesses are dialled at most so long before its slot begins."""
REDIAL_S = 0.25
"""Pause after the first attempt; each one more makes it longer by this."""
REDIAL_S_MAX = 2.0
DIALLED_AT_ONCE = 4
"""Validators dialled at a time that nothing waits for yet."""
PATIENCE_S = 15.0
"""A standing validator that cannot be reached for so long is replaced by the next in order."""
RETRY_S = 120.0
"""After so long it is tried again."""

log = structlog.get_logger(__name__)


class Links:
    """Opens and closes an encoder's connections to validators. Tables are bounded by the validators.

    Standing connections are dialled again when they end, and are not closed for others. A validator that is
    neither standing nor met in a shard is disconnected, if this node dialled it.
    """

    def __init__(self, epochs: Epochs, host: Host, book: AddressBook, wanted: int) -> None:
        self._epochs = epochs
        self._genesis = epochs.genesis
        self._host = host
        self._book = book
        self._wanted = wanted
        self._away_since_s: dict[bytes, float] = {}
        self._given_up_until_s: dict[bytes, float] = {}
        self._meeting: frozenset[bytes] = frozenset()
        self._dialling: set[bytes] = set()
        book.keep_only(self._standing())

    @property
    def standing(self) -> tuple[bytes, ...]:
        """The validators that are kept connected, in order."""
        return tuple(sorted(self._book.kept))

    async def run(self) -> None:
        """Keep the right connections, until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                standing = self._standing()
                self._book.keep_only(standing)
                urgent, others = self._met_now()
                self._meeting = urgent | others
                for key in sorted(urgent) + sorted(others - urgent):
                    room = key in urgent or len(self._dialling) < DIALLED_AT_ONCE
                    if room and key not in standing | self._dialling and not self._host.is_connected(key):
                        self._dialling.add(key)
                        nursery.start_soon(self._reach, key)
                for peer in self._host.peers():
                    key = peer.public_key
                    idle = is_validator_of_late(self._epochs, key) and key not in self._meeting | standing
                    if idle and peer.outbound:
                        nursery.start_soon(self._host.disconnect, key)
                await trio.sleep(LOOK_EVERY_S)

    def _standing(self) -> frozenset[bytes]:
        now_s = trio.current_time()
        epoch = self._epochs.newest
        order = standing_order(epoch, self._host.public_key)
        count = standing_count(self._wanted, len(epoch.validators), len(epoch.encoders))
        self._given_up_until_s = {k: s for k, s in self._given_up_until_s.items() if s > now_s}
        likely = [key for key in order if key not in self._given_up_until_s]
        chosen = [*likely, *(key for key in order if key in self._given_up_until_s)][:count]
        away = [key for key in chosen if not self._host.is_connected(key)]
        self._away_since_s = {key: self._away_since_s.get(key, now_s) for key in away}
        if count < len(order):
            # There is somebody else to turn to.
            late = (key for key, since_s in self._away_since_s.items() if now_s - since_s >= PATIENCE_S)
            self._given_up_until_s |= dict.fromkeys(late, now_s + RETRY_S)
        # Whom the operator named may be all that is known: it stays until as many as wanted are connected.
        return frozenset(chosen) | (self._book.given if away else frozenset())

    def _met_now(self) -> tuple[frozenset[bytes], frozenset[bytes]]:
        """Whom this encoder meets in the shards it is in.

        Dealers and witnesses, from shortly before the slot begins; those that fetch its answers, from then.
        """
        clock_ms, me = now_ms(), self._host.public_key
        lead_ms = min(LEAD_MS_MAX, self._genesis.parameters.slot_ms // 4)
        newest = round_at(self._genesis, clock_ms + lead_ms)
        current = round_at(self._genesis, clock_ms)
        dealing: set[bytes] = set()
        fetching: set[bytes] = set()
        for round_ in range(max(0, current - MEETING_SLOTS), newest + 1):
            epoch = self._epochs.find(round_ // self._genesis.parameters.epoch_rounds)
            if epoch is None:
                continue
            for at in meetings(epoch, round_):
                dealing |= counterparts(epoch, at, me)
                fetching |= fetchers(epoch, at, me) if round_ <= current else frozenset()
        return frozenset(dealing), frozenset(fetching)

    async def _reach(self, key: bytes) -> None:
        """Dial a validator's addresses in turn until one answers or nobody is to be met there any more."""
        # An address that swallows what is sent to it must not use up the slot.
        patience_s = self._genesis.parameters.slot_ms / 4000
        turn, said = 0, ""
        try:
            while key in self._meeting and not self._host.is_connected(key):
                addresses = self._book.addresses_of(key)
                if addresses:
                    reason = await self._dial(addresses[turn % len(addresses)], patience_s)
                else:
                    reason = "no address of it is known here"
                if reason and reason != said:
                    log.info("validator.unreachable", peer=key.hex()[:8], reason=reason)
                said = reason
                turn += 1
                await trio.sleep(min(REDIAL_S * turn, REDIAL_S_MAX))
        finally:
            self._dialling.discard(key)

    async def _dial(self, address: str, patience_s: float) -> str:
        """Why an address could not be reached; nothing when it was."""
        with trio.move_on_after(patience_s):
            try:
                await self._host.dial(address)
            except DialError as error:
                return str(error)
            return ""
        return f"no answer from {address} within {patience_s:g} s"
