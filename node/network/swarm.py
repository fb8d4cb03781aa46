"""Connections: who may connect, how many, and an inbound path that forgets what has ended."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import trio
from libp2p.abc import IMuxedConn, INetStream, IRawConnection, ISecureConn
from libp2p.custom_types import StreamHandlerFn, TProtocol
from libp2p.host.basic_host import BasicHost
from libp2p.identity.identify_push.identify_push import ID_PUSH
from libp2p.io.abc import ReadWriteCloser
from libp2p.network.auto_connector import AutoConnector
from libp2p.network.config import ConnectionConfig, RetryConfig
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStore, PeerStoreError
from libp2p.protocol_muxer.exceptions import MultiselectClientError, MultiselectError
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX_ID
from libp2p.transport.exceptions import MuxerUpgradeFailure, OpenConnectionError, SecurityUpgradeFailure
from libp2p.transport.tcp.tcp import TCP
from libp2p.transport.upgrader import TransportUpgrader
from multiaddr import Multiaddr

from node.network.counters import Counters
from node.network.denied import Denied
from node.network.guard import guard_tasks, guarded
from node.network.identity import key_pair, public_key, security
from node.network.limits import NetworkLimits, Share, full_share
from node.network.rate import TokenBucket
from node.network.yamux import BoundedYamux


class AdmittingUpgrader(TransportUpgrader):
    """Secures connections, and refuses peers as soon as Noise has proved who they are."""

    def __init__(
        self,
        identity_seed: bytes,
        muxer: type[BoundedYamux],
        refuse: Callable[[ID], str | None],
        counters: Counters,
    ) -> None:
        super().__init__(security(key_pair(identity_seed)), {TProtocol(YAMUX_ID): muxer})
        self._muxer = muxer
        self._refuse = refuse
        self._counters = counters

    async def upgrade_security(
        self, raw_conn: IRawConnection, is_initiator: bool, peer_id: ID | None = None
    ) -> ISecureConn:
        """The Noise session, if its peer is welcome. Raises SecurityUpgradeFailure with the reason if not."""
        secured = await super().upgrade_security(raw_conn, is_initiator, peer_id)
        reason = self._refuse(secured.get_remote_peer())
        if reason is not None:
            self._counters.add("rejected.connection")
            await secured.close()
            raise SecurityUpgradeFailure(reason)
        return secured

    async def prove(self, raw_conn: IRawConnection, peer_id: ID) -> None:
        """Have a peer that was dialled prove its key, welcome or not. Raises SecurityUpgradeFailure."""
        await super().upgrade_security(raw_conn, True, peer_id)

    async def upgrade_connection(self, conn: ISecureConn, peer_id: ID) -> IMuxedConn:
        """The multiplexed connection. The library ignores the class it was given and builds its own."""
        selector = self.muxer_multistream._selector
        try:
            await selector.select(conn, conn.is_initiator, self.muxer_multistream.negotiate_timeout)
        except (MultiselectError, MultiselectClientError) as error:
            raise MuxerUpgradeFailure("no common stream multiplexer") from error
        return self._muxer(conn, peer_id, conn.is_initiator)


class NoAutoConnector(AutoConnector):
    """Dials nobody. The library's dials every address it hears of, up to half the connections allowed."""

    async def start(self) -> None:
        """Nothing to start."""

    async def run_background_task(self, nursery: trio.Nursery) -> None:
        """Nothing to run."""

    async def maybe_connect(self) -> None:
        """Nobody to connect to."""


class HardenedSwarm(Swarm):
    """libp2p's swarm without a resource manager.

    The resource manager's counters leak on every denied connection until nobody can connect. Connections are
    limited here instead, by counting the ones that exist.
    """

    def __init__(
        self,
        peer_id: ID,
        upgrader: AdmittingUpgrader,
        limits: NetworkLimits,
        counters: Counters,
        denied: Denied,
    ) -> None:
        super().__init__(
            peer_id,
            PeerStore(),
            upgrader,
            [TCP()],
            retry_config=RetryConfig(max_retries=0),
            connection_config=ConnectionConfig(
                max_connections=limits.connections_max,
                high_watermark=limits.connections_max,
                low_watermark=0,
                min_connections=0,
                max_connections_per_peer=limits.connections_per_peer_max,
                inbound_upgrade_timeout=limits.handshake_s,
                outbound_upgrade_timeout=limits.handshake_s,
            ),
        )
        self.auto_connector = NoAutoConnector(self)
        self._limits = limits
        self._counters = counters
        self._denied = denied
        self._upgrader = upgrader
        self._handshakes: dict[str, int] = {}
        self._failures: dict[str, TokenBucket] = {}
        self._turned_away = 0

    async def run(self) -> None:
        """The service's main task."""
        guard_tasks(self, self._counters)
        await super().run()

    async def close_peer(self, peer_id: ID) -> None:
        """Close the connections a peer has now.

        The library also drops from its table, at the end, whatever connection the peer opened meanwhile.
        """
        async with trio.open_nursery() as nursery:
            for connection in self.get_connections(peer_id):
                nursery.start_soon(self._close_connection_async, connection)

    async def close_denied(self) -> None:
        """Close the connections there are with denied peers."""
        async with trio.open_nursery() as nursery:
            for connection in self._denied.connections_of(self):
                nursery.start_soon(self._close_connection_async, connection)

    async def close_all(self) -> None:
        """Close every connection, all at once, and stop listening.

        The library takes 0.2 s for each connection, one after the other; and when it is cancelled meanwhile
        it leaves sockets open and listeners running.
        """
        async with trio.open_nursery() as nursery:
            for connection in self.get_connections():
                nursery.start_soon(self._close_connection_async, connection)
        for listener in self.listeners.values():
            await listener.close()
        self.listeners.clear()

    async def proves(self, address: Multiaddr, peer_id: ID) -> bool:
        """Whether this key answers at an address: it is dialled, proves it, and is left at once."""
        try:
            raw = await TCP().dial(address)
        except OpenConnectionError:
            return False
        try:
            await self._upgrader.prove(raw, peer_id)
        except SecurityUpgradeFailure:
            return False
        finally:
            with trio.CancelScope(shield=True):
                await raw.close()
        return True

    def set_stream_handler(self, stream_handler: StreamHandlerFn) -> None:
        """Install the handler of inbound streams, guarded."""

        async def guarded_handler(stream: INetStream) -> None:
            # An exception in a stream handler (or in negotiation: text that is not UTF-8) ends the process.
            try:
                await stream_handler(stream)
            except Exception as error:
                guarded(self._counters, "stream", error)
                await stream.reset()

        super().set_stream_handler(guarded_handler)

    async def _handle_inbound_connection(self, read_write_closer: ReadWriteCloser, maddr: Multiaddr) -> None:
        # The library parks this task, and the slot it holds, until the *swarm* ends: every connection ever
        # accepted stays in memory and after `max_connections` of them nobody can connect. This one ends with
        # the connection.
        remote = read_write_closer.get_remote_address()
        address = remote[0] if remote is not None else ""
        if self._denied.has_ip(address):
            self._counters.add("rejected.address")
            await read_write_closer.close()
            return
        here = self._handshakes.get(address, 0)
        if (
            here >= self._limits.handshakes_per_address_max
            or sum(self._handshakes.values()) >= self._limits.handshakes_max
        ):
            await self._turn_away(read_write_closer)
            return
        raw = RawConnection(read_write_closer, False)
        self._handshakes[address] = here + 1
        try:
            await self._wait_for_turn(address)
            with trio.fail_after(self._limits.handshake_s):
                muxed = await self.upgrade_inbound_raw_conn(raw, maddr)
        except Exception as error:
            self._counters.add(f"rejected.inbound.{type(error).__name__}")
            await raw.close()
            return
        finally:
            self._handshakes[address] -= 1
            if not self._handshakes[address]:
                del self._handshakes[address]
        self._succeeded(address)
        assert isinstance(muxed, BoundedYamux)
        await muxed.event_closed.wait()

    async def _turn_away(self, connection: ReadWriteCloser) -> None:
        """Close a connection there is no room for; not at once, or it would be back at once."""
        self._counters.add("rejected.handshakes")
        if self._turned_away < self._limits.turned_away_max:
            self._turned_away += 1
            try:
                await trio.sleep(self._limits.turned_away_s)
            finally:
                self._turned_away -= 1
        await connection.close()

    async def _wait_for_turn(self, address: str) -> None:
        """Every handshake counts as failed until it has succeeded."""
        failures = self._failures.get(address)
        if failures is None:
            while len(self._failures) >= self._limits.addresses_max:
                del self._failures[next(iter(self._failures))]
            rate_per_s, burst = self._limits.failed_handshakes_per_s, self._limits.failed_handshakes_burst
            failures = self._failures[address] = TokenBucket(rate_per_s, burst, trio.current_time())
        wait_s = failures.take(1.0, trio.current_time())
        if wait_s > 0:
            self._counters.add("handshakes.slowed")
            await trio.sleep(wait_s)

    def _succeeded(self, address: str) -> None:
        failures = self._failures.get(address)
        if failures is not None:
            failures.give_back(1.0)


class QuietHost(BasicHost):
    """A libp2p host that answers identify but never asks.

    Identify stores whatever addresses and protocols a stranger sends, forever, from tasks outside any
    nursery. Nothing here needs it: peers are known by key, and protocols are negotiated per stream.
    """

    def __init__(self, swarm: HardenedSwarm, announce: list[Multiaddr] | None) -> None:
        super().__init__(swarm, announce_addrs=announce, disable_identify_address_discovery=True)
        self.remove_stream_handler(ID_PUSH)

    def _schedule_identify(self, peer_id: ID, *, reason: str) -> None:
        return


def forget_peer(swarm: Swarm, peer: ID) -> None:
    """Drop what the library keeps of a peer that has gone; it would keep it of everyone it ever met."""
    swarm.auto_connector._recent_disconnects.pop(peer, None)
    swarm._negative_peer_cache.evict(str(peer))
    with suppress(PeerStoreError):
        swarm.peerstore.clear_peerdata(peer)


def connection_count(swarm: Swarm, peer: ID) -> int:
    """Live connections to one peer."""
    return sum(not connection.is_closed for connection in swarm.connections.get(peer, ()))


def refusal(
    peer: ID,
    swarm: Swarm,
    limits: NetworkLimits,
    banned: Callable[[bytes], bool],
    admit: Callable[[bytes], bool] | None,
    share: Share = full_share,
) -> str | None:
    """Why `peer` may not connect, or None when it may."""
    key = public_key(peer)
    if key is None:
        return "its key is not Ed25519"
    if peer == swarm.self_id:
        return "it is this node itself"
    if banned(key):
        return "it is banned"
    if connection_count(swarm, peer) >= limits.connections_per_peer_max:
        return "it has too many connections"
    open_to_it = limits.connections_max * (1.0 - limits.connections_reserved * (1.0 - share(key)))
    if swarm.get_total_connections() >= open_to_it:
        return "this node has too many connections"
    if admit is not None and not admit(key):
        return "it is not admitted"
    return None
