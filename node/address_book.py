"""Where validators are: everyone tells whom they know, and those that are to be kept get dialled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec
import structlog
import trio

from config.addresses import checked_address, checked_dial_address, is_unspecified
from node.epochs.admission import validators_at_work
from node.keys import peer_id
from node.network.errors import DialError, RequestError
from node.network.host import Host, PeerEvent, PeerInfo
from protocol.codec import CodecError, PublicKey, Record, decode, encode
from protocol.epochs.known import Epochs
from protocol.epochs.view import Epoch

METHOD = "addresses"
ADDRESSES_EACH_MAX = 8
KNOWN_MAX = 4096
ANSWER_BYTES_MAX = 8 << 20
ASK_EVERY_S = 2.0
"""Pause between questions while a validator is not connected."""

log = structlog.get_logger(__name__)


class Known(Record, frozen=True):
    """One validator and where it can be dialled."""

    public_key: PublicKey
    addresses: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=200)], ...], msgspec.Meta(max_length=ADDRESSES_EACH_MAX)
    ]


class Answer(Record, frozen=True):
    """Validators of this network that the answering node can reach."""

    known: Annotated[tuple[Known, ...], msgspec.Meta(max_length=KNOWN_MAX)]


class AddressBook:
    """Keeps a node connected to the validators of its network, those that joined later too.

    To all of them, unless told otherwise (`keep_only`). Who has no stake any more is forgotten when none of
    its rounds count: tables hold the validators of three epochs and those about to join, whom records name;
    no peer's word adds one. What the operator, genesis and the records say is
    never displaced by what peers say; what a validator says about itself displaces what others say about it,
    so that one that has moved is found again.
    """

    def __init__(self, epochs: Epochs, host: Host, bootstrap: Sequence[str]) -> None:
        self._epochs = epochs
        self._validators: set[bytes] = set()
        self._only: frozenset[bytes] | None = None
        self._bootstrap = tuple(bootstrap)
        self._host = host
        self._given: dict[bytes, tuple[str, ...]] = {}
        self._told: dict[bytes, tuple[str, ...]] = {}
        self._asked: set[bytes] = set()
        self._looked_at: Epoch | None = None
        self._wake = trio.Event()
        host.on_peer(self._meet)
        host.handle(METHOD, self._answer, request_bytes_max=1, response_bytes_max=ANSWER_BYTES_MAX)
        self._look_up()
        named = {peer_id(key) for key in self._validators}
        for address in bootstrap:
            if address.rpartition("/p2p/")[2] not in named:
                # Not a validator: it may still know where they are, being a member.
                self._maintain([address])

    def _look_up(self) -> None:
        """Once an epoch: take up who has joined or is about to, forget who has left."""
        newest = self._epochs.newest
        if newest is self._looked_at:
            return
        self._looked_at = newest
        at_work = validators_at_work(self._epochs)
        for key in self._validators - at_work:
            self._forget(key)
        said = {key: member.addresses for key, member in self._epochs.genesis.validators.items()}
        for card in newest.cards:
            said.setdefault(card.public_key, card.addresses)
        for key in sorted(at_work - self._validators):
            self._validators.add(key)
            usable = [f for a in said.get(key, ()) if (f := dialable(a, key)) is not None]
            self._given[key] = tuple(dict.fromkeys((*self._named(key), *usable)))[:ADDRESSES_EACH_MAX]
            self._keep(key)

    def _forget(self, key: bytes) -> None:
        """Dial a validator that has left no more: it would take the room of those that joined after it."""
        self._validators.discard(key)
        self._given.pop(key, None)
        self._told.pop(key, None)
        self._host.release(key)
        if named := self._named(key):
            # As any other the operator names that is no validator.
            self._maintain(named)

    def _named(self, key: bytes) -> list[str]:
        """The addresses the operator gave of a peer."""
        own = f"/p2p/{peer_id(key)}"
        return [address for address in self._bootstrap if address.endswith(own)]

    def keep_only(self, keys: Iterable[bytes]) -> None:
        """Keep these validators connected and no others; the others' connections stay as they are."""
        before = self.kept
        self._only = frozenset(keys)
        for key in before - self.kept:
            self._host.release(key)
        added = self.kept - before
        for key in added:
            self._keep(key)
        if added:
            self._wake.set()

    @property
    def kept(self) -> frozenset[bytes]:
        """The validators that are kept connected."""
        known = frozenset(self._validators)
        return known if self._only is None else known & self._only

    @property
    def given(self) -> frozenset[bytes]:
        """The validators whose addresses the operator gave."""
        named = {address.rpartition("/p2p/")[2] for address in self._bootstrap}
        return frozenset(key for key in self._validators if peer_id(key) in named)

    async def run(self) -> None:
        """Ask every kept validator that connects whom it knows; while one is missing, ask on in turn."""
        turn = 0
        while True:
            self._wake = trio.Event()
            self._look_up()
            kept = self.kept
            peers = [peer for peer in self._host.peers() if peer.public_key in kept]
            # Whoever comes back may have moved.
            self._asked &= {peer.public_key for peer in peers}
            strangers = [peer for peer in peers if peer.public_key not in self._asked]
            missing = len(peers) < len(kept - {self._host.public_key})
            if missing and peers and not strangers:
                # Who did not know before may know now. Not everybody begins with the same one.
                turn += 1
                strangers = [peers[(turn + self._host.public_key[0]) % len(peers)]]
            async with trio.open_nursery() as nursery:
                for peer in strangers:
                    nursery.start_soon(self._ask, peer)
            with trio.move_on_after(ASK_EVERY_S):
                await self._wake.wait()

    def _meet(self, event: PeerEvent) -> None:
        if event.public_key in self.kept:
            self._wake.set()

    async def _ask(self, peer: PeerInfo) -> None:
        key = peer.public_key
        try:
            data = await self._host.request(
                key, METHOD, b"", timeout_s=5.0, response_bytes_max=ANSWER_BYTES_MAX
            )
            answer = decode(data, Answer, size_bytes_max=ANSWER_BYTES_MAX)
        except (RequestError, CodecError) as error:
            log.debug("addresses.unanswered", peer=key.hex()[:8], reason=str(error))
            return
        self._asked.add(key)
        connected = {info.public_key for info in self._host.peers()}
        for known in answer.known:
            if known.public_key not in self._validators or known.public_key == self._host.public_key:
                continue
            if known.public_key == key:
                self._learn(key, [_seen_at(address, peer.address) for address in known.addresses])
            elif known.public_key not in connected:
                self._learn(known.public_key, known.addresses)

    async def _answer(self, peer: bytes, payload: bytes) -> bytes:
        known = {key: self.addresses_of(key) for key in self._validators}
        if self._host.public_key in known:
            known[self._host.public_key] = self._host.addresses[:ADDRESSES_EACH_MAX]
        found = [Known(key, at) for key, at in sorted(known.items()) if at]
        return encode(Answer(tuple(found[:KNOWN_MAX])))

    def addresses_of(self, key: bytes) -> tuple[str, ...]:
        """Where a validator can be dialled, as far as is known here; at most `ADDRESSES_EACH_MAX`."""
        both = dict.fromkeys((*self._given.get(key, ()), *self._told.get(key, ())))
        return tuple(both)[:ADDRESSES_EACH_MAX]

    def _learn(self, key: bytes, addresses: Sequence[str]) -> None:
        usable = tuple(found for address in addresses if (found := dialable(address, key)) is not None)
        # Room is left for what was given: no peer's word can displace it.
        usable = usable[: ADDRESSES_EACH_MAX - len(self._given.get(key, ()))]
        if usable and usable != self._told.get(key):
            self._told[key] = usable
            self._keep(key)

    def _keep(self, key: bytes) -> None:
        if key in self.kept and key != self._host.public_key:
            self._maintain(self.addresses_of(key))

    def _maintain(self, addresses: Sequence[str]) -> None:
        try:
            self._host.maintain(addresses)
        except DialError as error:
            log.warning("address.unusable", reason=str(error))


def dialable(address: str, key: bytes) -> str | None:
    """The address with the peer id of `key`, or None when nobody can dial it or it names another peer."""
    bare, _, named = address.partition("/p2p/")
    try:
        checked_dial_address(bare)
    except ValueError:
        return None
    own = peer_id(key)
    return f"{bare}/p2p/{own}" if named in ("", own) else None


def _seen_at(address: str, connection: str) -> str:
    """A peer's own word on where it is; who listens on every address is where we see it come from."""
    try:
        unspecified = is_unspecified(checked_address(address))
    except ValueError:
        return address
    seen = connection.split("/")
    if not unspecified or len(seen) < 3 or seen[1] not in ("ip4", "ip6"):
        return address
    return "/".join(["", *seen[1:3], *address.split("/")[3:]])
