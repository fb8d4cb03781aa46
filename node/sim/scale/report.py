"""What a run at scale found, as tables of text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from node.sim.scale.growth import METRICS, Growth, shown
from node.sim.scale.load import gossip_sent, loads
from node.sim.scale.mesh import Wiring
from node.sim.scale.meter import Part
from node.sim.scale.run import ScalePoint, signature_ns


@dataclass(frozen=True)
class ScaleReport:
    """The largest network, and how its loads came to be that large."""

    largest: ScalePoint
    growths: tuple[Growth, ...]
    elapsed_s: float
    cpu_s: float
    memory_bytes_max: int

    def load_rows(self) -> list[list[str]]:
        """One row a part: a node's mean round in the largest network."""
        return [
            [
                part.value,
                f"{load.statements:,.0f}",
                f"{load.gossip_messages:,.0f}",
                _size(load.gossip_bytes),
                f"{load.stream_messages:,.0f}",
                _size(load.stream_bytes),
                f"{load.machine_ms:,.1f}",
                f"{load.signature_ms:,.1f}",
            ]
            for part, load in loads(self.largest).items()
        ]

    def growth_rows(self) -> list[list[str]]:
        """One row a part and series: the exponents of the power laws."""
        return [
            [part.value, growth.along, _span(growth)]
            + [shown(growth.exponent(part, metric)) for metric in METRICS]
            for growth in self.growths
            for part in Part
            if growth.curve(part, "messages")
        ]

    def wiring_rows(self) -> list[list[str]]:
        """One row a part: copies and bytes sent by gossip in a round, by how the network is wired."""
        rows = []
        for part in self.largest.means:
            row = [part.value]
            for wiring in Wiring:
                copies, sent_bytes = gossip_sent(self.largest, part, wiring)
                row += [f"{copies:,.0f}", _size(sent_bytes)]
            rows.append(row)
        return rows

    def document(self) -> dict[str, object]:
        """As JSON."""
        sign_ns, verify_ns = signature_ns()
        return {
            "largest": _point(self.largest),
            "growth": [
                {
                    "along": growth.along,
                    "points": [_point(point) for point in growth.points],
                    "exponents": {
                        part.value: {metric: growth.exponent(part, metric) for metric in METRICS}
                        for part in Part
                    },
                }
                for growth in self.growths
            ],
            "signatures": {"sign_us": sign_ns / 1e3, "verify_us": verify_ns / 1e3},
            "elapsed_s": self.elapsed_s,
            "cpu_s": self.cpu_s,
            "memory_bytes_max": self.memory_bytes_max,
        }


def _point(point: ScalePoint) -> dict[str, object]:
    found = loads(point)
    return {
        **asdict(point.size),
        "certified": point.certified,
        "events": point.events,
        "encoders_drawn_a_round": point.drawn,
        "encoders_opened": point.opened,
        "elapsed_s": point.elapsed_s,
        "cpu_s": point.cpu_s,
        "draws_ms": point.draw_ns / 1e6,
        "epoch_ms": point.epoch_ns / 1e6,
        "nodes": {
            part.value: {
                "node_rounds": point.nodes[part],
                **asdict(load),
                "cpu_ms": load.cpu_ms,
                "counts": asdict(point.means[part]),
                "gossip_sent": {
                    wiring.value: dict(
                        zip(("messages", "bytes"), gossip_sent(point, part, wiring), strict=True)
                    )
                    for wiring in Wiring
                },
            }
            for part, load in found.items()
        },
    }


def _span(growth: Growth) -> str:
    sizes: Sequence[int] = [getattr(point.size, growth.along) for point in growth.points]
    return f"{min(sizes):,} to {max(sizes):,}"


def _size(size_bytes: float) -> str:
    return f"{size_bytes / 1e6:,.2f} MB" if size_bytes >= 1e5 else f"{size_bytes / 1e3:,.1f} KB"
