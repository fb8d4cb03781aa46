"""Encoders that listen, and so relay gossip for others: who they are is asked of whoever is connected.

An encoder that can be dialled says so to the validators and relays it is connected to; they name some of
those that are connected to them at this moment to whoever asks. Nobody is named at an address other than the
one its own connection comes from: no member can have others dial a third party.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Annotated

import msgspec
import structlog
import trio

from config.addresses import checked_address
from node.address_book import dialable
from node.network.errors import DialError, RequestError, RequestRefused
from node.network.host import Host, PeerEvent, PeerGone
from protocol.codec import CodecError, PublicKey, Record, decode, encode

METHOD = "relays"
LISTENS_MAX = 8
TOLD_MAX = 16
"""Relays named in one answer."""
CANDIDATES_MAX = 128
"""Relays a node remembers to dial, the oldest forgotten first."""
REQUEST_BYTES_MAX = 2048
ANSWER_BYTES_MAX = 8192
LOOK_EVERY_S = 1.0
ASK_EVERY_S = 10.0
"""Pause between questions while too few relays are connected."""
DIAL_S = 5.0
REQUEST_S = 5.0

log = structlog.get_logger(__name__)

_Address = Annotated[str, msgspec.Meta(max_length=200)]


class Ask(Record, frozen=True):
    """Where the asking node listens, if it does; which relays are connected there?"""

    listens: Annotated[tuple[_Address, ...], msgspec.Meta(max_length=LISTENS_MAX)]


class Relay(Record, frozen=True):
    """One encoder that can be dialled."""

    public_key: PublicKey
    address: _Address


class Answer(Record, frozen=True):
    """Some encoders that can be dialled."""

    relays: Annotated[tuple[Relay, ...], msgspec.Meta(max_length=TOLD_MAX)]


class Relays:
    """Names relays to who asks, and keeps an encoder connected to a few of them.

    Tables: those that listen, of the connected peers; `CANDIDATES_MAX` to dial; `wanted` that were dialled.
    """

    def __init__(
        self,
        host: Host,
        is_encoder: Callable[[bytes], bool],
        wanted: int = 0,
        informants: Callable[[], Sequence[bytes]] = tuple,
        random_seed: bytes | None = None,
    ) -> None:
        """`wanted` relays are kept connected; `informants` may be asked for them. A validator wants none."""
        self._host = host
        self._is_encoder = is_encoder
        self._wanted = wanted
        self._informants = informants
        self._random = random.Random(random_seed)
        self._listening: dict[bytes, str] = {}
        self._candidates: dict[bytes, str] = {}
        self._dialled: set[bytes] = set()
        self._told: set[bytes] = set()
        self._next_ask_s = 0.0
        host.handle(
            METHOD, self._answer, request_bytes_max=REQUEST_BYTES_MAX, response_bytes_max=ANSWER_BYTES_MAX
        )
        host.on_peer(self._met)

    @property
    def connected(self) -> frozenset[bytes]:
        """The relays this node has dialled and is connected to."""
        return frozenset(key for key in self._dialled if self._host.is_connected(key))

    async def run(self) -> None:
        """Keep `wanted` relays connected, until cancelled."""
        while True:
            for key in self._informants():
                if key not in self._told and self._host.is_connected(key):
                    await self._ask(key)
            await self._replenish()
            await trio.sleep(LOOK_EVERY_S)

    def _met(self, event: PeerEvent) -> None:
        if isinstance(event, PeerGone):
            self._listening.pop(event.public_key, None)
            self._dialled.discard(event.public_key)
            self._told.discard(event.public_key)

    # Being asked.

    async def _answer(self, peer: bytes, payload: bytes) -> bytes:
        ask = decode(payload, Ask, size_bytes_max=REQUEST_BYTES_MAX)
        seen = next((info.address for info in self._host.peers() if info.public_key == peer), "")
        if not self._is_encoder(peer):
            raise RequestRefused("relays are named to encoders of the network only")
        listed = (found for one in ask.listens if (found := listed_address(one, seen, peer)) is not None)
        address = next(listed, None)
        if address is None:
            self._listening.pop(peer, None)
        else:
            self._listening[peer] = address
        others = [key for key in self._listening if key != peer]
        chosen = self._random.sample(others, min(TOLD_MAX, len(others)))
        return encode(Answer(tuple(Relay(key, self._listening[key]) for key in sorted(chosen))))

    # Asking.

    async def _ask(self, key: bytes) -> None:
        ask = Ask(self._host.addresses[:LISTENS_MAX])
        try:
            data = await self._host.request(
                key, METHOD, encode(ask), timeout_s=REQUEST_S, response_bytes_max=ANSWER_BYTES_MAX
            )
            relays = decode(data, Answer, size_bytes_max=ANSWER_BYTES_MAX).relays
        except (RequestError, CodecError) as error:
            log.debug("relays.unanswered", peer=key.hex()[:8], reason=str(error))
            return
        self._told.add(key)
        for relay in relays:
            usable = dialable(relay.address, relay.public_key)
            if usable is not None and relay.public_key != self._host.public_key:
                self._candidates.pop(relay.public_key, None)
                self._candidates[relay.public_key] = usable
        while len(self._candidates) > CANDIDATES_MAX:
            del self._candidates[next(iter(self._candidates))]

    async def _replenish(self) -> None:
        lacking = self._wanted - len(self.connected)
        if lacking <= 0:
            return
        usable = [key for key in self._candidates if not self._host.is_connected(key)]
        if not usable:
            await self._ask_again()
            return
        async with trio.open_nursery() as nursery:
            for key in self._random.sample(usable, min(lacking, len(usable))):
                nursery.start_soon(self._dial, key, self._candidates.pop(key))

    async def _dial(self, key: bytes, address: str) -> None:
        if not self._is_encoder(key):
            return
        try:
            with trio.fail_after(DIAL_S):
                await self._host.dial(address)
        except (DialError, trio.TooSlowError) as error:
            log.debug("relay.unreachable", peer=key.hex()[:8], reason=str(error) or "no answer")
        else:
            self._dialled.add(key)

    async def _ask_again(self) -> None:
        now_s = trio.current_time()
        asked = [key for key in (*self._informants(), *self.connected) if self._host.is_connected(key)]
        if now_s >= self._next_ask_s and asked:
            self._next_ask_s = now_s + ASK_EVERY_S
            await self._ask(self._random.choice(asked))


def listed_address(told: str, connection: str, key: bytes) -> str | None:
    """The port a peer says it listens on, at the host its connection comes from; None if that is nothing.

    Ports of connections that were opened from the other side say nothing; hosts do.
    """
    seen = connection.split("/")
    try:
        port = checked_address(told).split("/")[4]
    except ValueError:
        return None
    if len(seen) < 3 or seen[1] not in ("ip4", "ip6"):
        return None
    return dialable("/".join(["", seen[1], seen[2], "tcp", port]), key)
