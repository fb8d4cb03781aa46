"""The counters a host keeps by name (`node.network.counters`), as metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client.core import Metric as Exposed

from node.metrics import catalogue as m
from node.metrics.metric import Metric

Place = tuple[Metric, tuple[str, ...]]

BY_NAME: Final[dict[str, Place]] = {
    "wire.bytes_in": (m.WIRE_BYTES, ("in",)),
    "wire.bytes_out": (m.WIRE_BYTES, ("out",)),
    "gossip.bytes_in": (m.PROTOCOL_BYTES, ("gossip", "in")),
    "gossip.bytes_out": (m.PROTOCOL_BYTES, ("gossip", "out")),
    "rpc.bytes_in": (m.PROTOCOL_BYTES, ("requests", "in")),
    "rpc.bytes_out": (m.PROTOCOL_BYTES, ("requests", "out")),
    "blob.bytes_served": (m.BLOB_BYTES_SERVED, ()),
    "blob.fetched": (m.BLOBS_FETCHED, ()),
    "gossip.delivered": (m.GOSSIP_DELIVERED, ()),
    **{f"gossip.dropped.{reason}": (m.GOSSIP_DROPPED, (reason,)) for reason in m.GOSSIP_DROPS},
    **{f"statements.{verdict}": (m.STATEMENTS, (verdict,)) for verdict in ("accept", "ignore", "reject")},
    "rejected.connection": (m.REFUSED, ("connection",)),
    "rejected.handshakes": (m.REFUSED, ("turn",)),
    "rejected.stream": (m.REFUSED, ("stream",)),
    "rejected.gossip_stream": (m.REFUSED, ("gossip",)),
    "gossip.graft_refused": (m.REFUSED, ("graft",)),
    "rpc.answers_too_large": (m.REFUSED, ("answer",)),
    "rpc.bad_frames": (m.REFUSED, ("frame",)),
    "violation.yamux": (m.REFUSED, ("frame",)),
    "gossip.slowed": (m.SLOWED, ("gossip",)),
    "gossip.slowed.useless": (m.SLOWED, ("useless_gossip",)),
    "rpc.slowed": (m.SLOWED, ("requests",)),
    "blob.slowed": (m.SLOWED, ("blobs",)),
    "handshakes.slowed": (m.SLOWED, ("handshakes",)),
    "rpc.timeouts": (m.REQUEST_TIMEOUTS, ()),
    "rpc.streams_opened": (m.STREAMS, ("opened",)),
    "rpc.streams_ended": (m.STREAMS, ("ended",)),
    "gossip.stream_ended": (m.STREAMS, ("gossip_ended",)),
    "maintain.failed_dials": (m.DIALS_FAILED, ()),
    "maintain.full": (m.DIALS_FAILED, ()),
    "penalties": (m.PENALTIES, ()),
    "bans": (m.BANS, ()),
    "driver.faults": (m.FAULTS, ("driver",)),
    "driver.inbox_full": (m.DROPPED, ("inbox",)),
    "driver.unsent": (m.DROPPED, ("sent",)),
    "store.unwritten": (m.DROPPED, ("written",)),
    "pairs.missed": (m.DROPPED, ("pairs",)),
    "blob.store_full": (m.DROPPED, ("blobs",)),
}
BY_PREFIX: Final[tuple[tuple[str, Place], ...]] = (
    # What follows names an exception: too many to be labels.
    ("rejected.inbound.", (m.REFUSED, ("handshake",))),
    ("connection.lost.", (m.LOST, ())),
    ("guarded.", (m.FAULTS, ("network",))),
)
_PLACES: Final = tuple(dict.fromkeys([*BY_NAME.values(), *(place for _, place in BY_PREFIX)]))
_OTHER: Final[Place] = (m.OTHER, ())


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
