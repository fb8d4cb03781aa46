"""The metrics of a node's connections, most of them the counters of its host (`node.network.counters`)."""

from __future__ import annotations

from typing import Final

from node.metrics.metric import Kind, Label, Metric

_C, _G = Kind.COUNTER, Kind.GAUGE
_DIRECTION = Label("direction", ("in", "out"))

PEERS = Metric("deltamesh_peers", _G, "Connected peers.", (Label("role", ("validator", "encoder", "guest")),))
WIRE_BYTES = Metric(
    "deltamesh_wire_bytes_total", _C, "All bytes of peer connections, as multiplexed.", (_DIRECTION,)
)
PROTOCOL_BYTES = Metric(
    "deltamesh_protocol_bytes_total",
    _C,
    "Those of them in gossip, and the payloads of requests.",
    (Label("protocol", ("gossip", "requests")), _DIRECTION),
)
BLOB_BYTES_SERVED = Metric(
    "deltamesh_blob_served_bytes_total", _C, "Bytes of views, answers and reports served to peers."
)
BLOBS_FETCHED = Metric("deltamesh_blobs_fetched_total", _C, "Views, answers and reports fetched from peers.")
GOSSIP_DELIVERED = Metric("deltamesh_gossip_delivered_total", _C, "Gossip messages accepted and handed on.")
GOSSIP_DROPS: Final = (
    "banned",
    "unknown_topic",
    "duplicate",
    "repeated",
    "too_large",
    "bad_signature",
    "ignore",
    "reject",
    "inbox_full",
    "outbound_queue_full",
)
GOSSIP_DROPPED = Metric(
    "deltamesh_gossip_dropped_total",
    _C,
    "Gossip messages dropped. `duplicate` and `repeated` are how gossip works, `reject` what no honest node "
    "forwards, the `full` ones losses of this node.",
    (Label("reason", GOSSIP_DROPS),),
)
STATEMENTS = Metric(
    "deltamesh_statements_total",
    _C,
    "Signed statements judged, from gossip and streams.",
    (Label("verdict", ("accept", "ignore", "reject")),),
)
REFUSED = Metric(
    "deltamesh_refused_total",
    _C,
    "What peers were refused: a `connection` for lack of room or a ban, one from a banned `address`, a "
    "failed `handshake`, one that found no `turn`, a `stream`, a gossip stream (`gossip`), a `graft` into "
    "the mesh, an over-long `answer`, a bad `frame`.",
    (
        Label(
            "what",
            ("connection", "address", "handshake", "turn", "stream", "gossip", "graft", "answer", "frame"),
        ),
    ),
)
SLOWED = Metric(
    "deltamesh_slowed_total",
    _C,
    "Times a peer was made to wait, by what it wanted.",
    (Label("what", ("gossip", "useless_gossip", "requests", "blobs", "handshakes")),),
)
LOST = Metric("deltamesh_connections_lost_total", _C, "Connections that ended by an error.")
REQUEST_TIMEOUTS = Metric(
    "deltamesh_request_timeouts_total", _C, "Requests to peers without an answer in time."
)
STREAMS = Metric(
    "deltamesh_streams_total",
    _C,
    "Streams to peers by what became of them.",
    (Label("event", ("opened", "ended", "gossip_ended")),),
)
DIALS_FAILED = Metric("deltamesh_dials_failed_total", _C, "Dials of peers this node keeps that failed.")
PENALTIES = Metric("deltamesh_penalties_total", _C, "Penalties given to peers.")
BANS = Metric("deltamesh_bans_total", _C, "Bans of peers.")
OTHER = Metric(
    "deltamesh_other_events_total", _C, "Events counted in the status file that have no metric of their own."
)

NETWORK: Final = (
    PEERS,
    WIRE_BYTES,
    PROTOCOL_BYTES,
    BLOB_BYTES_SERVED,
    BLOBS_FETCHED,
    GOSSIP_DELIVERED,
    GOSSIP_DROPPED,
    STATEMENTS,
    REFUSED,
    SLOWED,
    LOST,
    REQUEST_TIMEOUTS,
    STREAMS,
    DIALS_FAILED,
    PENALTIES,
    BANS,
    OTHER,
)
