"""Every bound of the network layer, in one immutable object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

KIB = 1024
MIB = 1024 * 1024


Share = Callable[[bytes], float]
"""The part of a peer's budgets that its public key is granted: above 0, at most 1. Asked at each use."""


def full_share(_: bytes) -> float:
    """Everybody has all of it."""
    return 1.0


@dataclass(frozen=True, slots=True)
class NetworkLimits:
    """What one host grants its peers. Sizes in bytes, rates per second, times in seconds.

    Requests, blobs and receive windows are granted to each peer by its share (`Share`).
    """

    # Connections.
    connections_max: int = 1024
    connections_per_peer_max: int = 3
    connections_reserved: float = 0.25
    """Part of the places kept for peers with a full share of the budgets below; with less, less is open."""
    handshakes_max: int = 256
    """Inbound connections being secured at one time; one more is turned away."""
    handshakes_per_address_max: int = 64
    turned_away_s: float = 2.0
    """How long a connection is left open, unread, before it is closed for want of room."""
    turned_away_max: int = 256
    failed_handshakes_per_s: float = 10.0
    """Inbound connections of one address that come to nothing; above it, further ones from there wait.

    One costs 2 to 4 ms. They wait in turn, so an honest neighbour behind the same address still gets in.
    """
    failed_handshakes_burst: float = 64.0
    addresses_max: int = 1024
    """Addresses whose failed handshakes are remembered, the oldest forgotten first."""
    handshake_s: float = 10.0
    dial_s: float = 10.0
    keepalive_s: float = 4.0
    """Pause between pings on one connection."""
    silence_s: float = 10.0
    """A connection on which nothing arrived for this long, pings sent, is closed."""
    write_stall_s: float = 10.0
    """A connection that takes none of our bytes for this long is closed."""

    # Streams and flow control.
    inbound_streams_max: int = 48
    """Streams one connection may hold open towards us."""
    inbound_streams_per_s: float = 100.0
    window_bytes: int = 8 * MIB
    """Receive window granted to a request stream when it opens."""
    window_bytes_per_peer_max: int = 32 * MIB
    window_bytes_total_max: int = 512 * MIB

    # Requests.
    streams_per_peer: int = 8
    """Long-lived request streams kept per peer."""
    requests_per_s: float = 20.0
    """Requests served per peer; more wait (back-pressure), they are not refused.

    One costs 0.3 to 1 ms: without this bound a single member takes most of a core and breaks no rule.
    """
    requests_burst: float = 500.0
    """Requests served at once before that: the blobs of a whole round."""
    request_bytes_max: int = 16 * MIB
    response_bytes_max: int = 16 * MIB
    frame_read_s: float = 10.0
    """Time a started frame has to arrive, plus its size at `frame_bytes_per_s`."""
    frame_bytes_per_s: float = 64 * KIB

    # Gossip.
    gossip_bytes_max: int = MIB
    gossip_queue_messages: int = 4096
    gossip_queue_bytes: int = 32 * MIB
    gossip_messages_per_s: float = 200.0
    gossip_bytes_per_s: float = 16 * MIB
    """Per forwarder; above it the forwarder's stream is read more slowly."""
    useless_messages_per_s: float = 25.0
    """Per forwarder, of messages it wrapped anew or sent too late; above it its stream is read more slowly.

    Copies that gossip itself makes do not count: they carry one id and are dropped for next to nothing.
    """
    useless_messages_burst: float = 500.0
    topics_max: int = 64
    seen_messages_max: int = 65_536
    cache_bytes_max: int = 32 * MIB
    heartbeat_s: float = 1.0
    degree: int = 8
    """Peers a node looks for to exchange whole messages with, for each topic."""
    meshed_max: int = 12
    """Peers it lets in that look for it, beside those it prefers."""
    announced_to: int = 8
    """Peers outside the mesh that are told of recent messages at each heartbeat."""

    # Reputation.
    penalty_budget: float = 100.0
    penalty_half_life_s: float = 120.0
    ban_s: float = 300.0
    reputations_max: int = 4096

    # Blobs.
    blob_bytes_max: int = 256 * MIB
    blob_chunk_bytes: int = MIB
    blob_transfers_max: int = 16
    blob_chunk_s: float = 20.0
    blob_bytes_per_peer_per_s: float = 64 * MIB
    """Bytes served to one peer; a second's worth may be taken at once, more waits."""
    blob_serve_cache_bytes: int = 8 * MIB

    # Known addresses kept connected.
    maintained_max: int = 1024
