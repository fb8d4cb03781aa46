"""Who is connected, as the swarm's table has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.network.swarm import Swarm
from libp2p.rcmgr import Direction

from node.network.identity import public_key
from node.network.yamux import BoundedYamux


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """One connected peer. `since_ms` is on the clock of `trio.current_time`, in milliseconds."""

    public_key: bytes
    address: str
    outbound: bool
    since_ms: int
    round_trip_ms: float | None = None
    """Of the last ping that was answered; None before the first."""


def peer_infos(swarm: Swarm, since_s: Mapping[bytes, float]) -> tuple[PeerInfo, ...]:
    """Every connected peer, by key."""
    infos = []
    for peer, connections in swarm.connections.items():
        key = public_key(peer)
        live = [connection for connection in connections if not connection.is_closed]
        if key is None or not live:
            continue
        addresses = live[0].get_transport_addresses()
        outbound = isinstance(live[0], SwarmConn) and live[0].direction == Direction.OUTBOUND
        since_ms = int(since_s.get(key, 0.0) * 1000)
        muxed = live[0].muxed_conn
        round_trip_ms = muxed.round_trip_ms if isinstance(muxed, BoundedYamux) else None
        address = str(addresses[0]) if addresses else ""
        infos.append(PeerInfo(key, address, outbound, since_ms, round_trip_ms))
    return tuple(sorted(infos, key=lambda info: info.public_key))
