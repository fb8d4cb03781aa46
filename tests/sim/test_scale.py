"""Large networks in small: what a node carries does not depend on how many encoders there are."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.sim.observer import Violation
from node.sim.scale.growth import Growth, exponent, sizes
from node.sim.scale.load import gossip_sent, loads
from node.sim.scale.mesh import Mesh, Wiring
from node.sim.scale.meter import Part
from node.sim.scale.observer import ScaleObserver
from node.sim.scale.picture import draw_growth
from node.sim.scale.run import ScalePoint, ScaleSize, measure
from node.sim.world import World
from protocol.epochs.carried import CarriedEpochs
from protocol.quorum import quorum_stake
from tests.support.certified_history import certified_history
from tests.support.cli import deltamesh

VALIDATORS, SHARDS, SHARD_SIZE, ROUNDS = 6, 2, 4, 2
ENCODERS = (12, 36, 108)


def size_of(encoders: int) -> ScaleSize:
    return ScaleSize(
        VALIDATORS, encoders, ROUNDS, shards=SHARDS, shard_size=SHARD_SIZE, scored_items=2, degree=3
    )


@cache
def point_of(encoders: int) -> ScalePoint:
    return measure(size_of(encoders))


@pytest.mark.parametrize("encoders", ENCODERS)
def test_every_shard__is_certified_on_every_validator(encoders: int) -> None:
    assert point_of(encoders).certified == ROUNDS * SHARDS


@pytest.mark.parametrize("encoders", ENCODERS)
def test_encoder_counts__are_exactly_those_of_the_protocol_however_many_there_are(encoders: int) -> None:
    means = point_of(encoders).means
    # A challenge, three locks and a certificate of each shard.
    heard = 5 * SHARDS
    votes = quorum_stake(VALIDATORS)
    unsampled = means[Part.UNSAMPLED]
    assert (unsampled.judged, unsampled.forwarded_rounds) == (heard, heard)
    assert unsampled.verified == heard + votes * SHARDS
    assert unsampled.stream_in == unsampled.stream_out == unsampled.signed == 0
    sampled = means[Part.SAMPLED]
    # Handed the challenge and the locks too; views fetched of the dealer; answers fetched by every validator.
    assert sampled.judged == heard + 4
    assert sampled.verified == unsampled.verified
    assert sampled.stream_in == 4 + 3 + 3 * VALIDATORS
    assert sampled.stream_out == 3 + 3 * 3 + 1 + 3 * VALIDATORS
    assert sampled.signed == 4


@pytest.mark.parametrize("encoders", ENCODERS)
def test_validators_counts__are_exactly_those_of_the_protocol_however_many_encoders_there_are(
    encoders: int,
) -> None:
    point = point_of(encoders)
    assert point.nodes[Part.DEALER] == SHARDS * ROUNDS
    assert point.nodes[Part.VALIDATOR] == (VALIDATORS - SHARDS) * ROUNDS
    both = [point.means[part].over(1 / point.nodes[part]) for part in (Part.DEALER, Part.VALIDATOR)]
    shard_rounds = SHARDS * ROUNDS
    answers = 3 * SHARD_SIZE
    # Answers and the report's body come in; so do requests for views and the body, commits and reveals.
    blobs = answers * VALIDATORS + (VALIDATORS - 1)
    asked = answers + (VALIDATORS - 1)
    said = 3 * answers + SHARD_SIZE
    assert round(sum(tally.stream_in for tally in both)) == shard_rounds * (blobs + asked + said)
    # An attestation of everyone; challenge, locks, report and certificate of the dealer.
    assert round(sum(tally.signed for tally in both)) == shard_rounds * (VALIDATORS + 6)
    # Everyone else's statements, once each, whatever the way they came: none is verified twice. Reveals are
    # verified by the dealer when they are sent, by the others in the audit.
    heard = 5 + answers + 1 + VALIDATORS
    own = 6 + VALIDATORS
    assert round(sum(tally.verified for tally in both)) == shard_rounds * (
        heard * VALIDATORS - own + SHARD_SIZE * VALIDATORS
    )


def test_load__does_not_grow_with_encoders_and_its_exponents_say_so() -> None:
    growth = Growth("encoders", tuple(point_of(encoders) for encoders in ENCODERS))
    for part in Part:
        for metric in ("messages", "bytes"):
            fitted = growth.exponent(part, metric)
            assert fitted is not None
            assert abs(fitted) < 0.06, (part, metric, fitted)


def test_hubs__carry_more_with_every_encoder_and_a_mesh_does_not() -> None:
    few, many = point_of(ENCODERS[0]), point_of(ENCODERS[-1])
    hubs = [gossip_sent(point, Part.DEALER, Wiring.HUBS)[1] for point in (few, many)]
    assert hubs[1] > 3 * hubs[0]
    mesh = [gossip_sent(point, Part.UNSAMPLED, Wiring.MESH)[0] for point in (few, many)]
    assert mesh[0] == mesh[1]
    assert all(load.cpu_ms > load.signature_ms > 0 for load in loads(many).values())


def test_observer__sees_a_second_report_and_a_certificate_without_a_quorum() -> None:
    history = certified_history(rounds=1)
    (fact,) = history.facts
    world = World(history.genesis, (), (), ())
    epochs = CarriedEpochs(history.genesis)
    node: Any = SimpleNamespace(epochs=epochs, key=history.validators[0].key)
    observer = ScaleObserver(world)
    observer.persisted(node, fact)
    assert observer.certified_by == {fact.at: {node.key}}
    other = msgspec.structs.replace(fact.certificate, report=bytes(32))
    with pytest.raises(Violation, match="one certificate a shard-round"):
        observer.persisted(node, replace(fact, certificate=other))
    alone = msgspec.structs.replace(fact.certificate, attestations=fact.certificate.attestations[:1])
    with pytest.raises(Violation, match="two thirds certify"):
        ScaleObserver(world).persisted(node, replace(fact, certificate=alone))


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32),
    half_members=st.integers(3, 20),
    degree=st.integers(2, 5).filter(lambda degree: degree % 2 == 0),
)
def test_copies__are_those_of_a_flooded_mesh_in_any_order(seed: int, half_members: int, degree: int) -> None:
    members, draw = 2 * half_members, random.Random(seed)
    # A ring of rings: connected, and everyone has as many peers.
    peers = {
        node: {(node + step) % members for hop in range(1, degree // 2 + 1) for step in (hop, -hop)}
        for node in range(members)
    }
    degree = len(peers[0])
    sent, heard, waiting = 0, {0}, [(0, peer) for peer in peers[0]]
    while waiting:
        sender, to = waiting.pop(draw.randrange(len(waiting)))
        sent += 1
        if to not in heard:
            heard.add(to)
            waiting += [(to, peer) for peer in peers[to] if peer != sender]
    mesh = Mesh(Wiring.MESH, degree, members, 0)
    publisher = mesh.copies(1, 0, of_validator=True)
    others = (members - 1) * mesh.copies(0, 1, of_validator=True)
    assert heard == set(peers)
    assert sent == publisher + others


def test_wirings__differ_in_who_sends_how_much() -> None:
    sent = {
        (wiring, of_validator): Mesh(wiring, 8, 100, 10_000).copies(1, 10, of_validator=of_validator)
        for wiring in Wiring
        for of_validator in (True, False)
    }
    assert sent[Wiring.MESH, True] == sent[Wiring.MESH, False] == 8 + 10 * 7
    assert sent[Wiring.HUBS, True] == 808 + 10 * 807
    assert sent[Wiring.HUBS, False] == 8 + 10 * 7
    assert sent[Wiring.DIRECT, True] == 10_099


@given(power=st.floats(-2, 3), scale=st.floats(0.1, 1e6))
def test_exponent__is_that_of_a_power_law(power: float, scale: float) -> None:
    fitted = exponent([(size, scale * size**power) for size in (4, 10, 100, 1_000)])
    assert fitted == pytest.approx(power, abs=1e-9)


def test_exponent__of_too_little_is_none() -> None:
    assert exponent([(1, 1.0), (2, 2.0)]) is None
    assert exponent([(1, 1.0), (2, 0.0), (3, 1.0)]) is None


def test_sizes__end_with_the_largest_and_hold_a_shard() -> None:
    chosen = sizes(ScaleSize(100, 10_000, 20), 2)
    assert [one.encoders for one in chosen["encoders"]] == [32, 100, 316, 1_000, 3_162, 10_000]
    assert [one.validators for one in chosen["validators"]] == [4, 8, 16, 32, 64, 100]
    assert {one.rounds for series in chosen.values() for one in series} == {2}


def test_picture__is_whole_and_names_every_fit() -> None:
    growth = Growth("encoders", tuple(point_of(encoders) for encoders in ENCODERS))
    text = draw_growth("What <one> carries", "in a round", [growth])
    root = ElementTree.fromstring(text)
    lines = [one for one in root.iter() if one.get("class") == "line" and len(one)]
    assert len(lines) == 3 * len(Part)
    assert all("~ encoders^" in "".join(line.itertext()) for line in lines)


def test_command__tells_loads_growth_and_cost(tmp_path: object) -> None:
    small = ("--validators", 4, "--encoders", 70, "--rounds", 1, "--shards", 1, "--shard-size", 8)
    ended = deltamesh(
        "sim", "scale", *small, "--growth-rounds", 1, "--picture", f"{tmp_path}/x.svg", "--json"
    )
    document = ended.json
    assert document["largest"]["certified"] == 1
    assert [one["along"] for one in document["growth"]] == ["encoders", "validators"]
    assert document["memory_bytes_max"] > 1e6
    assert document["largest"]["epoch_ms"] > 0
    assert set(document["largest"]["nodes"]) == {part.value for part in Part}
    assert ElementTree.parse(f"{tmp_path}/x.svg").getroot().tag.endswith("svg")
    table = deltamesh("sim", "scale", *small, "--growth-rounds", 0)
    assert "1 of 1 shard-rounds certified" in table.out
    assert "Exponents" not in table.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["scale", "--shards", 5, "--validators", 4],
        ["scale", "--shard-size", 9, "--encoders", 8],
        ["scale", "--growth-rounds", 0, "--picture", "x.svg"],
        ["scale", "--picture", "/nowhere/x.svg"],
        ["--seeds", 3, "scale"],
    ],
)
def test_what_cannot_be_measured__is_said_in_one_sentence(arguments: list[object]) -> None:
    ended = deltamesh("sim", *arguments)
    assert ended.code != 0
    assert ended.error
