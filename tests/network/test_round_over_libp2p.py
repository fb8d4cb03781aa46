"""Whole rounds over real sockets, in one process: certified, stored, served, and survived."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import psutil
import pytest

from node.store.items import ItemState
from protocol.codec import decode
from protocol.items import canonical_text, item_id
from protocol.messages import Certificate
from protocol.statement import parse
from tests.support.epochs import check_certificate
from tests.support.local_network import LocalNetwork, local_network

pytestmark = [pytest.mark.anyio, pytest.mark.network, pytest.mark.timeout(200)]
SERVED = canonical_text("a line that a user of the network would like to have embedded by everybody")
PATIENCE_S = 90.0


def newest_everywhere(network: LocalNetwork) -> set[int]:
    """Rounds every validator holds as certified."""
    return set.intersection(*(set(network.certified(name)) for name in network.validators))


def assert_sound(network: LocalNetwork) -> None:
    """Every certified round of every store checks out and is whole; nobody did anything wrong."""
    genesis = network.genesis
    for name in network.validators:
        store = network.store(name)
        for round_, record in network.certified(name).items():
            assert record.certificate is not None
            assert record.header is not None
            certificate = decode(record.certificate, Certificate, size_bytes_max=1 << 20)
            check_certificate(genesis, certificate)
            assert certificate.report == parse(record.header, genesis.network_id).digest
            scores = [score for score in store.scores() if score.round == round_]
            assert {score.encoder for score in scores} == genesis.encoders.keys()
            assert math.isclose(sum(score.weight for score in scores), 1.0, abs_tol=1e-6)
            vectors = [one.vector for one in store.embeddings(round_, round_ + 1)]
            assert len(vectors) >= genesis.parameters.scored_items
            assert np.isfinite(np.frombuffer(b"".join(vectors), "<f4")).all()
        assert store.evidence() == []


def assert_no_faults(network: LocalNetwork) -> None:
    for name in network.nodes:
        status = network.status(name)
        assert status is not None
        faults = {
            key: count
            for key, count in status.counters.items()
            if key.startswith(("driver.faults", "guarded"))
        }
        assert faults == {}, name
        assert all(peer.penalty == 0 for peer in status.peers), name


async def test_network__certifies_rounds_and_serves_what_users_submit(tmp_path: Path) -> None:
    children = set(psutil.Process().children(recursive=True))
    async with local_network(tmp_path) as network:
        first = network.validators[0]
        await network.until(lambda: newest_everywhere(network), PATIENCE_S, "a first certified round")

        # A user's item is handed to whoever deals next, and its embedding comes back to where it was given.
        network.submit(first, item_id(SERVED), SERVED)
        await network.until(
            lambda: all(network.store(name).embedding(item_id(SERVED)) for name in network.validators),
            PATIENCE_S,
            "the submitted item is embedded",
        )
        record = network.store(first).item(item_id(SERVED))
        assert record is not None
        assert record.state is ItemState.CERTIFIED
        vectors = {network.store(name).embedding(item_id(SERVED)) for name in network.validators}
        assert len(vectors) == 1
        assert_sound(network)
        assert_no_faults(network)
    assert not set(psutil.Process().children(recursive=True)) - children


@pytest.mark.slow
async def test_network__survives_a_restart_and_a_broken_model(tmp_path: Path) -> None:
    async with local_network(tmp_path) as network:
        first, second, third = network.validators
        await network.until(lambda: newest_everywhere(network), PATIENCE_S, "a first certified round")

        # One validator stops in order, misses rounds that the others certify, and catches them up.
        await network.stop(third)
        missed_from = max(newest_everywhere(network))
        await network.until(
            lambda: len([r for r in network.certified(first) if r > missed_from]) >= 1,
            PATIENCE_S,
            "two of three certify",
        )
        missed = [r for r in network.certified(first) if r > missed_from]
        network.start(third)
        await network.until(
            lambda: set(missed) <= network.certified(third).keys(), PATIENCE_S, "missed rounds are caught up"
        )

        # A model with a fault costs its encoder's place in the rounds, not its process.
        broken = network.strategies["encoder-0"]
        broken.fails = True
        await network.until(
            lambda: network.store(second).rounds(50) and _voided(network), PATIENCE_S, "a round without it"
        )
        broken.fails = False
        healed_from = max(newest_everywhere(network))
        await network.until(
            lambda: any(r > healed_from + 1 for r in newest_everywhere(network)), PATIENCE_S, "rounds go on"
        )
        assert_sound(network)
        assert network.status("encoder-0") is not None


def _voided(network: LocalNetwork) -> bool:
    """Whether a dealer noticed that too few encoders committed: with three, all are needed."""
    steps = (
        step
        for name in network.validators
        for record in network.store(name).rounds(50)
        for step in network.store(name).steps(record.round, 0)
    )
    return any(step.step == "void" and "committed" in step.detail for step in steps)
