"""The counters a host keeps by name (`node.network.counters`), as metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client.core import Metric as Exposed

from node.metrics import catalogue as m
from node.metrics import network_catalogue as n
from node.metrics.metric import Metric

Place = tuple[Metric, tuple[str, ...]]

BY_NAME: Final[dict[str, Place]] = {
    "wire.bytes_in": (n.WIRE_BYTES, ("in",)),
    "wire.bytes_out": (n.WIRE_BYTES, ("out",)),
    "gossip.bytes_in": (n.PROTOCOL_BYTES, ("gossip", "in")),
    "gossip.bytes_out": (n.PROTOCOL_BYTES, ("gossip", "out")),
    "rpc.bytes_in": (n.PROTOCOL_BYTES, ("requests", "in")),
    "rpc.bytes_out": (n.PROTOCOL_BYTES, ("requests", "out")),
    "blob.bytes_served": (n.BLOB_BYTES_SERVED, ()),
    "blob.fetched": (n.BLOBS_FETCHED, ()),
    "gossip.delivered": (n.GOSSIP_DELIVERED, ()),
    **{f"gossip.dropped.{reason}": (n.GOSSIP_DROPPED, (reason,)) for reason in n.GOSSIP_DROPS},
    **{f"statements.{verdict}": (n.STATEMENTS, (verdict,)) for verdict in ("accept", "ignore", "reject")},
    "rejected.connection": (n.REFUSED, ("connection",)),
    "rejected.address": (n.REFUSED, ("address",)),
    "rejected.handshakes": (n.REFUSED, ("turn",)),
    "rejected.stream": (n.REFUSED, ("stream",)),
    "rejected.gossip_stream": (n.REFUSED, ("gossip",)),
    "gossip.graft_refused": (n.REFUSED, ("graft",)),
    "rpc.answers_too_large": (n.REFUSED, ("answer",)),
    "rpc.bad_frames": (n.REFUSED, ("frame",)),
    "violation.yamux": (n.REFUSED, ("frame",)),
    "gossip.slowed": (n.SLOWED, ("gossip",)),
    "gossip.slowed.useless": (n.SLOWED, ("useless_gossip",)),
    "rpc.slowed": (n.SLOWED, ("requests",)),
    "blob.slowed": (n.SLOWED, ("blobs",)),
    "handshakes.slowed": (n.SLOWED, ("handshakes",)),
    "rpc.timeouts": (n.REQUEST_TIMEOUTS, ()),
    "rpc.streams_opened": (n.STREAMS, ("opened",)),
    "rpc.streams_ended": (n.STREAMS, ("ended",)),
    "gossip.stream_ended": (n.STREAMS, ("gossip_ended",)),
    "maintain.failed_dials": (n.DIALS_FAILED, ()),
    "maintain.full": (n.DIALS_FAILED, ()),
    "penalties": (n.PENALTIES, ()),
    "bans": (n.BANS, ()),
    "driver.faults": (m.FAULTS, ("driver",)),
    "driver.inbox_full": (m.DROPPED, ("inbox",)),
    "driver.unsent": (m.DROPPED, ("sent",)),
    "store.unwritten": (m.DROPPED, ("written",)),
    "pairs.missed": (m.DROPPED, ("pairs",)),
    "blob.store_full": (m.DROPPED, ("blobs",)),
    "api.events_lost": (m.DROPPED, ("events",)),
}
BY_PREFIX: Final[tuple[tuple[str, Place], ...]] = (
    # What follows names an exception: too many to be labels.
    ("rejected.inbound.", (n.REFUSED, ("handshake",))),
    ("connection.lost.", (n.LOST, ())),
    ("guarded.", (m.FAULTS, ("network",))),
)
_PLACES: Final = tuple(dict.fromkeys([*BY_NAME.values(), *(place for _, place in BY_PREFIX)]))
_OTHER: Final[Place] = (n.OTHER, ())


def place_of(name: str) -> Place:
    """The metric and the values of its labels that a counter goes to."""
    found = BY_NAME.get(name)
    if found is not None:
        return found
    return next((place for prefix, place in BY_PREFIX if name.startswith(prefix)), _OTHER)


def counted(counters: Mapping[str, int]) -> Iterator[Exposed]:
    """Every metric that is made of counters; one that was never counted reads 0."""
    totals = dict.fromkeys((*_PLACES, _OTHER), 0)
    for name, count in counters.items():
        totals[place_of(name)] += count
    families = {metric: metric.family() for metric, _ in totals}
    for (metric, labels), total in totals.items():
        families[metric].add(total, labels)
    yield from (family.exposed for family in families.values())
