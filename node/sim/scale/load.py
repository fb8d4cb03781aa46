"""What a node of each part has to carry in a round, from the counts and the model of the mesh."""

from __future__ import annotations

from dataclasses import dataclass

from node.sim.scale.mesh import Mesh, Wiring
from node.sim.scale.meter import Part, Tally
from node.sim.scale.run import ScalePoint, signature_ns

_VALIDATORS = (Part.DEALER, Part.VALIDATOR)


@dataclass(frozen=True)
class Load:
    """A node's mean round, in and out together."""

    statements: float
    """Signed statements judged, each once by gossip and once more over a stream where it was handed too."""
    gossip_messages: float
    """Copies sent and received in a mesh of the run's degree."""
    gossip_bytes: float
    stream_messages: float
    stream_bytes: float
    machine_ms: float
    """CPU of rules, machines and audit, and of drawing dealers and shards, as measured."""
    signature_ms: float
    """CPU of its signatures: how many, times what one costs here."""

    @property
    def messages(self) -> float:
        """All that is sent and received."""
        return self.gossip_messages + self.stream_messages

    @property
    def total_bytes(self) -> float:
        """All that is sent and received."""
        return self.gossip_bytes + self.stream_bytes

    @property
    def cpu_ms(self) -> float:
        """All that is computed but for the model of an encoder and the scoring rule."""
        return self.machine_ms + self.signature_ms


def loads(point: ScalePoint) -> dict[Part, Load]:
    """The load of every part at one size."""
    sign_ns, verify_ns = signature_ns()
    found = {}
    for part, tally in point.means.items():
        validator = part in _VALIDATORS
        copies_in, bytes_in = _received(point, of_validator=validator)
        copies_out, bytes_out = gossip_sent(point, part, Wiring.MESH)
        found[part] = Load(
            statements=tally.judged,
            gossip_messages=copies_out + copies_in,
            gossip_bytes=bytes_out + bytes_in,
            stream_messages=tally.stream_in + tally.stream_out,
            stream_bytes=tally.stream_in_bytes + tally.stream_out_bytes,
            machine_ms=(tally.cpu_ns + point.draw_ns) / 1e6,
            signature_ms=(tally.signed * sign_ns + tally.verified * verify_ns) / 1e6,
        )
    return found


def gossip_sent(point: ScalePoint, part: Part, wiring: Wiring) -> tuple[float, float]:
    """Copies and bytes that a node of a part sends by gossip in a round."""
    rounds = _topic_sent(point, part, wiring, votes=False)
    votes = _topic_sent(point, part, wiring, votes=True)
    return rounds[0] + votes[0], rounds[1] + votes[1]


def _topic_sent(point: ScalePoint, part: Part, wiring: Wiring, *, votes: bool) -> tuple[float, float]:
    tally, size, validator = point.means[part], point.size, part in _VALIDATORS
    mesh = Mesh(wiring, size.degree, size.validators, 0 if votes else size.encoders)
    published, forwarded, published_bytes, forwarded_bytes = _said(tally, votes=votes)
    if votes and not validator:
        return 0.0, 0.0
    return (
        mesh.copies(published, forwarded, of_validator=validator),
        mesh.copies(published_bytes, forwarded_bytes, of_validator=validator),
    )


def _said(tally: Tally, *, votes: bool) -> tuple[float, float, float, float]:
    if votes:
        return (
            tally.published_votes,
            tally.forwarded_votes,
            tally.published_votes_bytes,
            tally.forwarded_votes_bytes,
        )
    return (
        tally.published_rounds,
        tally.forwarded_rounds,
        tally.published_rounds_bytes,
        tally.forwarded_rounds_bytes,
    )


def _received(point: ScalePoint, *, of_validator: bool) -> tuple[float, float]:
    """Copies and bytes that reach one follower: what all send, spread evenly."""
    size = point.size
    topics = [(False, size.validators + size.encoders)]
    if of_validator:
        topics.append((True, size.validators))
    copies = total_bytes = 0.0
    for votes, followers in topics:
        for part, count in _population(point).items():
            sent = _topic_sent(point, part, Wiring.MESH, votes=votes)
            copies += count * sent[0] / followers
            total_bytes += count * sent[1] / followers
    return copies, total_bytes


def _population(point: ScalePoint) -> dict[Part, float]:
    """How many nodes have each part in a round; encoders in several shards count as in one."""
    size = point.size
    dealers = min(size.shards, size.validators)
    sampled = min(size.encoders, point.drawn)
    counts = {
        Part.DEALER: dealers,
        Part.VALIDATOR: size.validators - dealers,
        Part.SAMPLED: sampled,
        Part.UNSAMPLED: size.encoders - sampled,
    }
    return {part: count for part, count in counts.items() if part in point.means}
