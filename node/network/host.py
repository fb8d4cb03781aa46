"""One node on the network: identity, connections, gossip and requests, behind one object."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import trio
from libp2p.abc import INetConn, INetStream, INetwork, INotifee
from libp2p.peer.id import ID
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr

from node.network import patches
from node.network.counters import Counters
from node.network.denied import Denied
from node.network.dial_reason import dial_reason
from node.network.errors import DialError, ListenError, MessageTooLarge
from node.network.gossipsub import HardenedGossipSub
from node.network.guard import guarded
from node.network.identity import key_pair, parse_address, peer_id, public_key
from node.network.limits import NetworkLimits, Share, full_share
from node.network.maintain import Maintainer
from node.network.peer_info import PeerInfo as PeerInfo
from node.network.peer_info import peer_infos
from node.network.pubsub import HardenedPubsub, Validator
from node.network.reputation import Reputation
from node.network.requests import Handler, Requests
from node.network.swarm import AdmittingUpgrader, HardenedSwarm, QuietHost, forget_peer, refusal
from node.network.topics import Delivery, Inbox
from node.network.windows import WindowBudget
from node.network.yamux import muxer

COST_VIOLATION = 100.0
CLOSE_S = 3.0
"""Time for goodbyes when the host closes."""


@dataclass(frozen=True, slots=True)
class PeerConnected:
    """The first connection to a peer was opened."""

    public_key: bytes


@dataclass(frozen=True, slots=True)
class PeerGone:
    """The last connection to a peer has ended."""

    public_key: bytes


PeerEvent = PeerConnected | PeerGone
OnPeer = Callable[[PeerEvent], None]
OnMisbehaviour = Callable[[bytes, str, float], None]


class Host(INotifee):
    """A running host. Made by `open_host`."""

    def __init__(
        self,
        identity_seed: bytes,
        announce: Sequence[str],
        limits: NetworkLimits,
        admit: Callable[[bytes], bool] | None,
        nursery: trio.Nursery,
        share: Share = full_share,
    ) -> None:
        keys = key_pair(identity_seed)
        self.public_key = keys.public_key.to_bytes()
        self.limits = limits
        self.share = share
        self.counters = Counters()
        self._nursery = nursery
        self._reputation = Reputation(limits)
        self._denied = Denied()
        self._windows = WindowBudget(limits, share)
        self._admit = admit
        self._on_peer: list[OnPeer] = []
        self._on_misbehaviour: list[OnMisbehaviour] = []
        self._since_s: dict[bytes, float] = {}
        self._dials: dict[bytes, trio.Lock] = {}
        self._inboxes: dict[str, Inbox] = {}
        own = ID.from_pubkey(keys.public_key)
        upgrader = AdmittingUpgrader(
            identity_seed,
            muxer(limits, self._windows, self.counters, self._violation),
            self._refuse,
            self.counters,
        )
        self._swarm = HardenedSwarm(own, upgrader, limits, self.counters, self._denied)
        self._swarm.peerstore.add_key_pair(own, keys)
        self._libp2p = QuietHost(self._swarm, [Multiaddr(address) for address in announce] or None)
        self._router = HardenedGossipSub(limits, self.counters)
        self._pubsub = HardenedPubsub(
            self._libp2p,
            self._router,
            limits,
            self.counters,
            self._penalise_quietly,
            self._deliver,
            self.is_banned,
        )
        self._requests = Requests(
            self._libp2p, limits, self.counters, self._penalise_quietly, self.spawn, share
        )
        self._maintainer = Maintainer(self.dial, self.is_connected, limits, self.counters)
        self._swarm.register_notifee(self)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Multiaddrs under which this host is dialled, each with its /p2p/ part."""
        name = f"/p2p/{self._libp2p.get_id()}"
        found = (str(address) for address in self._libp2p.get_addrs())
        return tuple(address if "/p2p/" in address else address + name for address in found)

    def peers(self) -> tuple[PeerInfo, ...]:
        """Every connected peer, by key."""
        return peer_infos(self._swarm, self._since_s)

    def is_connected(self, key: bytes) -> bool:
        """Whether at least one connection to this peer is open."""
        return any(not connection.is_closed for connection in self._swarm.connections.get(peer_id(key), ()))

    def on_peer(self, callback: OnPeer) -> None:
        """Call back when a peer's first connection opens and when its last one ends."""
        self._on_peer.append(callback)

    # Connections.

    async def dial(self, address: str) -> bytes:
        """Connect to an address and return the key proved by whoever answered. Raises DialError."""
        parsed, key = parse_address(address)
        if key == self.public_key:
            raise DialError(address, "it is this node itself")
        if self.is_banned(key):
            raise DialError(address, "its key is banned here")
        if self._denied.has_address(parsed):
            raise DialError(address, "its IP address is banned here")
        lock = self._dials.setdefault(key, trio.Lock())
        try:
            async with lock:
                if not self.is_connected(key):
                    await self._dial_once(address, parsed, key)
        finally:
            if not lock.statistics().tasks_waiting and not lock.locked():
                self._dials.pop(key, None)
        return key

    async def _dial_once(self, address: str, parsed: Multiaddr, key: bytes) -> None:
        # One attempt on one address. `dial_peer` would wait its 250 ms head start, and after one failure
        # refuse the peer for 60 s out of a cache of its own: a restarted node could not come back.
        self._swarm._negative_peer_cache.evict(str(peer_id(key)))
        with trio.move_on_after(self.limits.dial_s):
            try:
                await self._swarm._dial_addr_single_attempt(parsed, peer_id(key))
                return
            except Exception as error:
                raise DialError(address, dial_reason(error)) from error
        raise DialError(address, f"no answer within {self.limits.dial_s:g} s")

    async def proves(self, address: str) -> bool:
        """Whether the key in an address answers there, connected already or not; no connection stays.

        Takes as long as the other end lets it. Raises DialError for what is no address with a key.
        """
        parsed, key = parse_address(address)
        if self._denied.has_address(parsed):
            return False
        try:
            return await self._swarm.proves(parsed, peer_id(key))
        except Exception as error:
            guarded(self.counters, "proves", error)
            return False

    def maintain(self, addresses: Iterable[str]) -> None:
        """Keep these peers connected from now on, dialling again when needed. Raises DialError."""
        self._maintainer.add(addresses)

    def release(self, key: bytes) -> None:
        """Keep a peer connected no longer; a connection there is stays open."""
        self._maintainer.drop(key)

    async def disconnect(self, key: bytes) -> None:
        """Close every connection to a peer."""
        await self._swarm.close_peer(peer_id(key))

    # Reputation.

    def is_banned(self, key: bytes) -> bool:
        """Whether connections with this key are refused now."""
        return self._denied.has_key(key) or self._reputation.is_banned(key, trio.current_time())

    def deny(self, keys: frozenset[bytes], addresses: frozenset[str]) -> None:
        """Refuse these keys and IP addresses from now on, and no others that were denied before.

        Connections with them are closed; penalties and the bans that follow from them are another matter.
        """
        self._denied.set(keys, addresses)
        self.spawn(self._swarm.close_denied, "deny")

    def ban(self, key: bytes, seconds: float) -> None:
        """Close connections with this key and refuse new ones for a while."""
        self._reputation.ban(key, seconds, trio.current_time())
        self.counters.add("bans")
        self._nursery.start_soon(self._quietly, "disconnect", self.disconnect, key)

    def unban(self, key: bytes) -> None:
        """Forget everything held against a key."""
        self._reputation.unban(key)

    def penalise(self, key: bytes, cost: float, reason: str) -> None:
        """Hold `cost` against a key; when its budget is spent it is disconnected and banned for a while."""
        self.counters.add("penalties")
        if self._reputation.penalise(key, cost, trio.current_time()):
            self.ban(key, self.limits.ban_s)
        for callback in self._on_misbehaviour:
            callback(key, reason, cost)

    def penalty(self, key: bytes) -> float:
        """What is held against a key at this moment."""
        return self._reputation.penalty(key, trio.current_time())

    def on_misbehaviour(self, callback: OnMisbehaviour) -> None:
        """Call back with (key, reason, cost) for every penalty."""
        self._on_misbehaviour.append(callback)

    def _penalise_quietly(self, key: bytes, cost: float, reason: str) -> None:
        try:
            self.penalise(key, cost, reason)
        except Exception as error:
            guarded(self.counters, "on_misbehaviour", error)

    def _violation(self, key: bytes, reason: str) -> None:
        self._penalise_quietly(key, COST_VIOLATION, reason)

    def _refuse(self, peer: ID) -> str | None:
        return refusal(peer, self._swarm, self.limits, self.is_banned, self._admit, self.share)

    # Gossip.

    async def subscribe(self, topic: str, validator: Validator) -> trio.MemoryReceiveChannel[Delivery]:
        """Join a topic: what `validator(data, forwarder key)` accepts is forwarded and delivered, once each.

        The validator is synchronous and cheap. IGNORE neither delivers, forwards nor punishes; REJECT
        punishes. Raises ValueError when the topic is subscribed already, or there are too many.
        """
        if topic in self._inboxes or len(self._inboxes) >= self.limits.topics_max:
            raise ValueError(f"topic {topic} is already subscribed, or {self.limits.topics_max} others are")
        inbox = self._inboxes[topic] = Inbox(self.limits, self.counters)
        self._nursery.start_soon(self._quietly, "inbox", inbox.run)
        self._pubsub.verdicts[topic] = validator
        await self._pubsub.subscribe(topic)
        return inbox.receive

    def prefer(self, preferred: Callable[[bytes], bool], meshed_min: int) -> None:
        """Always let these peers into the mesh of a topic, and keep `meshed_min` of them in it."""
        self._router.prefer(lambda peer: preferred(public_key(peer) or b""), meshed_min)

    async def publish(self, topic: str, data: bytes) -> None:
        """Send a message to everyone on a topic but ourselves. Raises MessageTooLarge."""
        # libp2p drops what exceeds 1 MiB without an error.
        if len(data) > self.limits.gossip_bytes_max:
            raise MessageTooLarge(topic, len(data), self.limits.gossip_bytes_max)
        await self._pubsub.publish(topic, data)

    def _deliver(self, topic: str, data: bytes, key: bytes) -> None:
        self._inboxes[topic].put(data, key)

    # Requests.

    def handle(
        self, method: str, handler: Handler, *, request_bytes_max: int, response_bytes_max: int
    ) -> None:
        """Answer a method with `await handler(peer key, payload)`. What it raises is answered as an error."""
        self._requests.handle(
            method, handler, request_bytes_max=request_bytes_max, response_bytes_max=response_bytes_max
        )

    async def request(
        self,
        peer_key: bytes,
        method: str,
        payload: bytes,
        *,
        timeout_s: float,
        response_bytes_max: int | None = None,
    ) -> bytes:
        """Ask a connected peer, whoever dialled whom, and return its answer. Raises RequestError."""
        return await self._requests.request(
            peer_key, method, payload, timeout_s=timeout_s, response_bytes_max=response_bytes_max
        )

    def spawn(self, task: Callable[[], Awaitable[object]], name: str) -> None:
        """Run a background task for as long as the host is open; what it raises is counted and stopped."""
        self._nursery.start_soon(self._quietly, name, task)

    async def _quietly(self, name: str, task: Callable[..., Awaitable[object]], *args: object) -> None:
        try:
            await task(*args)
        except Exception as error:
            guarded(self.counters, name, error)

    # What libp2p tells us (INotifee).

    async def connected(self, network: INetwork, conn: INetConn) -> None:
        """A connection was registered."""
        if self._denied.has_connection(conn):
            self.spawn(self._swarm.close_denied, "deny")  # dialled by a name, which led to a denied address
        key = public_key(conn.muxed_conn.peer_id)
        if key is not None and key not in self._since_s:
            self._since_s[key] = trio.current_time()
            self._announce(PeerConnected(key))

    async def disconnected(self, network: INetwork, conn: INetConn) -> None:
        """A connection was removed."""
        key = public_key(conn.muxed_conn.peer_id)
        if key is None or self.is_connected(key) or self._since_s.pop(key, None) is None:
            return
        self._requests.forget(key)
        forget_peer(self._swarm, peer_id(key))
        self._maintainer.peer_gone(key)
        self._announce(PeerGone(key))

    async def opened_stream(self, network: INetwork, stream: INetStream) -> None:
        """Of no interest."""

    async def closed_stream(self, network: INetwork, stream: INetStream) -> None:
        """Of no interest."""

    async def listen(self, network: INetwork, multiaddr: Multiaddr) -> None:
        """Of no interest."""

    async def listen_close(self, network: INetwork, multiaddr: Multiaddr) -> None:
        """Of no interest."""

    def _announce(self, event: PeerEvent) -> None:
        for callback in self._on_peer:
            try:
                callback(event)
            except Exception as error:
                guarded(self.counters, "on_peer", error)


@asynccontextmanager
async def open_host(
    identity_seed: bytes,
    listen: Sequence[str],
    *,
    announce: Sequence[str] = (),
    limits: NetworkLimits | None = None,
    admit: Callable[[bytes], bool] | None = None,
    share: Share = full_share,
) -> AsyncIterator[Host]:
    """Run a host until the block ends. Raises ListenError when an address cannot be opened.

    `identity_seed` is a 32-byte Ed25519 seed, `listen` multiaddrs (empty: only dial out), `announce` what
    others are told instead, `admit(public key)` whether a peer that proved this key may stay connected,
    `share(public key)` how much of a peer's budgets it has.
    """
    patches.apply()
    failure: BaseException | None = None
    async with trio.open_nursery() as nursery:
        host = Host(identity_seed, announce, limits or NetworkLimits(), admit, nursery, share)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(host._libp2p.run([]))
            await stack.enter_async_context(background_trio_service(host._pubsub))
            await stack.enter_async_context(background_trio_service(host._router))
            await host._pubsub.wait_until_ready()
            try:
                await _listen(host, listen)
                nursery.start_soon(host._quietly, "maintain", host._maintainer.run)
                yield host
            except BaseException as error:
                # Raised again below, outside the nurseries: the caller's own, not groups of groups of it.
                failure = error
            finally:
                with trio.CancelScope(shield=True), trio.move_on_after(CLOSE_S):
                    await host._swarm.close_all()
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _listen(host: Host, addresses: Sequence[str]) -> None:
    for address in addresses:
        try:
            parsed = Multiaddr(address)
        except Exception as error:
            raise ListenError(address, "not a multiaddr like /ip4/0.0.0.0/tcp/4001") from error
        if not await host._swarm.listen(parsed):
            raise ListenError(address, "the system refused the port (in use, or not permitted)")
