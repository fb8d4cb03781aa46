"""Who connects to whom, who is refused, and who comes back."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress

import pytest
import trio
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.network.config import ConnectionConfig
from libp2p.security.insecure.transport import PLAINTEXT_PROTOCOL_ID, InsecureTransport
from libp2p.security.secio import transport as secio

from node.network.errors import DialError, ListenError, RequestError
from node.network.host import Host, PeerConnected, PeerEvent, PeerGone, open_host
from node.network.identity import key_pair, parse_address, peer_id
from node.network.limits import NetworkLimits
from tests.network.peers import LOOPBACK, hosts, muxer_of, pair, seed, until, works

pytestmark = [pytest.mark.anyio, pytest.mark.network]


async def refused(dialler: Host, host: Host) -> None:
    """Dial a host that refuses. Noise ends at the dialler first, which may believe for a moment it is in."""
    refusals = host.counters.get("rejected.connection", 0)
    with suppress(DialError):
        await dialler.dial(host.addresses[0])
    await until(lambda: not dialler.peers() and host.counters.get("rejected.connection", 0) == refusals + 1)


NOTICED_WITHIN_S = 20.0
"""The library's next ping comes after 30 s, and nobody misses the answer."""
OTHER_KEY = key_pair(seed(99)).public_key.to_bytes()


async def test_dial__returns_the_key_and_both_sides_see_the_peer() -> None:
    async with hosts(2) as (first, second):
        assert (
            await second.dial(first.addresses[0])
            == first.public_key
            == key_pair(seed(1)).public_key.to_bytes()
        )
        await until(first.peers)
        (inbound,), (outbound,) = first.peers(), second.peers()
        assert (inbound.public_key, inbound.outbound) == (second.public_key, False)
        assert (outbound.public_key, outbound.outbound) == (first.public_key, True)
        assert outbound.address in first.addresses[0]
        assert inbound.since_ms > 0


async def test_dial__twice_at_once_opens_one_connection() -> None:
    async with hosts(2) as (first, second):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(second.dial, first.addresses[0])
            nursery.start_soon(second.dial, first.addresses[0])
        assert len(second._swarm.get_connections(peer_id(first.public_key))) == 1
        assert second._dials == {}


async def test_dial__does_not_wait_for_a_head_start() -> None:
    times = []
    async with hosts(4) as (first, *others):
        for other in others:
            started_s = trio.current_time()
            await other.dial(first.addresses[0])
            times.append(trio.current_time() - started_s)
    assert min(times) < 0.25, times


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("/ip4/127.0.0.1/tcp/1/p2p/" + str(peer_id(OTHER_KEY)), "refused"),
        ("/ip4/127.0.0.1/tcp/1", "not a multiaddr like"),
    ],
)
async def test_dial__failure_says_why(address: str, reason: str) -> None:
    async with open_host(seed(1), []) as host:
        with pytest.raises(DialError, match=reason):
            await host.dial(address)


async def test_dial__another_key_than_the_address_says_is_refused() -> None:
    async with hosts(2) as (first, second):
        elsewhere = first.addresses[0].rsplit("/", 1)[0] + f"/{peer_id(OTHER_KEY)}"
        with pytest.raises(DialError, match="another key"):
            await second.dial(elsewhere)
        await until(lambda: not first.peers())
        assert not second.peers()


async def test_dial__oneself_is_refused() -> None:
    async with hosts(1) as (host,):
        with pytest.raises(DialError, match="itself"):
            await host.dial(host.addresses[0])


async def say_nothing(stream: trio.SocketStream) -> None:
    await trio.sleep_forever()


async def test_dial__a_port_that_accepts_and_says_nothing_times_out() -> None:
    async with (
        open_host(seed(1), [], limits=NetworkLimits(dial_s=0.2)) as host,
        trio.open_nursery() as nursery,
    ):
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, say_nothing, listeners)
        port = listeners[0].socket.getsockname()[1]
        with pytest.raises(DialError, match="no answer within"):
            await host.dial(f"/ip4/127.0.0.1/tcp/{port}/p2p/{peer_id(OTHER_KEY)}")
        nursery.cancel_scope.cancel()


async def test_listen__port_in_use_is_an_error() -> None:
    # The library listens with SO_REUSEPORT: without the patch both would share the port, silently.
    async with hosts(1) as (host,):
        taken = host.addresses[0].split("/p2p/")[0]
        with pytest.raises(ListenError, match="refused the port"):
            async with open_host(seed(2), [taken]):
                raise AssertionError("two hosts listen on one port")


async def test_host__body_that_raises_raises_the_same() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with pair():
            raise KeyError("mine")


async def test_host__cancelled_from_outside_leaves_nothing() -> None:
    before = trio.lowlevel.current_statistics().tasks_living
    with trio.move_on_after(0.3) as scope:
        async with pair():
            await trio.sleep_forever()
    assert scope.cancelled_caught
    await until(lambda: trio.lowlevel.current_statistics().tasks_living <= before)


async def test_admit__refused_key_is_disconnected_before_it_can_speak() -> None:
    async with (
        open_host(seed(1), LOOPBACK, admit=lambda key: key != OTHER_KEY) as host,
        open_host(seed(99), []) as stranger,
        open_host(seed(2), []) as member,
    ):
        await refused(stranger, host)
        await member.dial(host.addresses[0])
        await until(host.peers)
        assert [peer.public_key for peer in host.peers()] == [member.public_key]


async def test_ban__disconnects_refuses_and_ends() -> None:
    async with pair() as (first, second):
        first.ban(second.public_key, 60)
        await until(lambda: not first.peers() and not second.peers())
        with pytest.raises(DialError, match="banned"):
            await first.dial(second.addresses[0])
        await refused(second, first)
        first.unban(second.public_key)
        await second.dial(first.addresses[0])
        await until(first.peers)


async def test_denied_connections__leave_room_for_the_next() -> None:
    # With the library's resource manager each denial leaks a slot, and after a few nobody can connect.
    limits = NetworkLimits(connections_max=4)
    async with open_host(seed(1), LOOPBACK, limits=limits) as host:
        host.ban(OTHER_KEY, 600)
        for _ in range(12):
            async with open_host(seed(99), []) as stranger:
                await refused(stranger, host)
        async with open_host(seed(2), []) as member:
            await member.dial(host.addresses[0])
            assert await works(host, member)
        await until(lambda: not host.peers() and not host._swarm._handshakes)


async def test_ended_connections__leave_nothing_behind() -> None:
    # The library parks a task and an inbound slot per connection ever accepted, and keeps every peer it met.
    limits = NetworkLimits(connections_max=3)
    async with open_host(seed(1), LOOPBACK, limits=limits) as host:
        tasks = trio.lowlevel.current_statistics().tasks_living
        for number in range(8):
            async with open_host(seed(10 + number), []) as visitor:
                await visitor.dial(host.addresses[0])
                assert await works(host, visitor)
            await until(lambda: not host.peers())
        await until(lambda: not host._since_s)
        await until(lambda: trio.lowlevel.current_statistics().tasks_living <= tasks)
        swarm = host._swarm
        assert len(swarm.peerstore.peer_data_map) <= 1
        assert not swarm.connections
        assert not swarm.auto_connector._recent_disconnects
        assert not swarm.tag_store._tags
        assert host._windows.granted_bytes == 0
        assert not host._requests._pools
        assert not host._requests._rates
        assert not host._pubsub.peers
        assert not host._pubsub._buckets
        assert len(host._swarm.manager._root_tasks) < 8  # type: ignore[attr-defined]


async def test_connections_per_peer__bounded() -> None:
    async with pair(NetworkLimits(connections_per_peer_max=1)) as (first, second):
        address = first.addresses[0]
        with suppress(DialError):
            # Straight past `dial`, which would see that it is connected already.
            await second._dial_once(address, *parse_address(address))
        await until(lambda: len(second._swarm.connections[peer_id(first.public_key)]) == 1)
        assert len(first._swarm.connections[peer_id(second.public_key)]) == 1
        assert first.counters["rejected.connection"] == 1
        assert await works(first, second)


@pytest.mark.parametrize("kind", ["plaintext", "secio"])
async def test_dialler_without_noise__is_refused(kind: str) -> None:
    # Both are in the library's default: with plaintext anybody can claim any key.
    async with hosts(2) as (first, second):
        keys = create_new_key_pair(seed(2))
        insecure = {
            PLAINTEXT_PROTOCOL_ID: InsecureTransport(keys),
        }
        if kind == "secio":
            insecure = {secio.ID: secio.Transport(keys)}
        security = second._swarm.upgrader.security_multistream
        security.transports.clear()
        for protocol, transport in insecure.items():
            security.add_transport(protocol, transport)
        with pytest.raises(DialError):
            await second.dial(first.addresses[0])
        assert not first.peers()


async def test_noise_key__is_not_the_identity_key() -> None:
    async with hosts(1) as (host,):
        (transport,) = host._swarm.upgrader.security_multistream.transports.values()
        assert transport.noise_privkey.get_public_key().to_bytes() != host.public_key
        assert transport.libp2p_privkey.get_public_key().to_bytes() == host.public_key


async def test_on_peer__announced_once_each_way() -> None:
    events: list[PeerEvent] = []
    async with hosts(2) as (first, second):
        first.on_peer(events.append)
        await second.dial(first.addresses[0])
        await until(first.peers)
        await second.disconnect(first.public_key)
        await until(lambda: len(events) == 2)
    assert events == [PeerConnected(second.public_key), PeerGone(second.public_key)]


async def test_on_peer__callback_that_raises_is_contained() -> None:
    async with hosts(2) as (first, second):
        first.on_peer(lambda event: 1 / 0)  # type: ignore[arg-type, return-value]
        await second.dial(first.addresses[0])
        assert await works(first, second)
        assert first.counters["guarded.on_peer.ZeroDivisionError"] == 1


async def test_maintain__restarted_peer_is_back_within_three_seconds() -> None:
    async with open_host(seed(1), []) as host:
        async with open_host(seed(2), LOOPBACK) as peer:
            address = peer.addresses[0]
            host.maintain([address])
            await until(host.peers)
        await until(lambda: not host.peers())
        # Down for a while: dials fail, and the library would remember that for 60 s.
        await until(lambda: host.counters.get("maintain.failed_dials", 0) >= 2)
        async with open_host(seed(2), [address.split("/p2p/")[0]]) as peer:
            started_s = trio.current_time()
            await until(host.peers)
            assert trio.current_time() - started_s < 3.0
            assert await works(peer, host)


async def test_maintain__peer_not_yet_up_is_dialled_until_it_is() -> None:
    async with hosts(1) as (late,):
        address = late.addresses[0]
    async with open_host(seed(5), []) as host:
        host.maintain([address])
        await until(lambda: host.counters.get("maintain.failed_dials", 0) >= 1)
        async with open_host(seed(1), [address.split("/p2p/")[0]]):
            await until(host.peers)


async def test_half_open_peer__is_noticed_by_silence() -> None:
    async with pair(NetworkLimits(keepalive_s=0.1, silence_s=NOTICED_WITHIN_S)) as (first, second):
        # The peer's process is there and its socket open, but nothing is read or written any more.
        frozen = muxer_of(second, first)
        assert frozen._nursery is not None
        frozen._nursery.cancel_scope.shield = False
        release = trio.Event()

        async def stuck(n: int | None = None) -> bytes:
            await release.wait()
            return b""

        frozen.secured_conn.read = stuck  # type: ignore[method-assign]
        frozen.send_control = lambda frame: None  # type: ignore[method-assign]
        # Only now: on a busy machine a sound connection may be as silent.
        type(muxer_of(first, second)).limits = NetworkLimits(keepalive_s=0.1, silence_s=0.3)
        await until(lambda: not first.peers(), NOTICED_WITHIN_S)
        assert first.counters["connection.lost.MuxedConnUnavailable"] == 1
        with pytest.raises(RequestError, match="not connected"):
            await first.request(second.public_key, "m", b"", timeout_s=1)
        release.set()


async def test_host__closes_with_peers_connected_and_leaves_no_task() -> None:
    before = trio.lowlevel.current_statistics().tasks_living
    async with pair() as (first, second):
        assert await works(first, second)
    await until(lambda: trio.lowlevel.current_statistics().tasks_living <= before)


def test_import__sets_yamux_credit_before_libp2p_reads_it() -> None:
    program = (
        "import node.network, os, sys; print(os.environ['PY_YAMUX_RELEASE_ON_READ'], 'libp2p' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "False"]


def test_connection_config__never_dials_by_itself() -> None:
    assert ConnectionConfig().min_connections > 0, "the library's default would"


async def test_connection_config__minimum_is_zero() -> None:
    async with hosts(1) as (host,):
        assert host._swarm.connection_config.min_connections == 0
