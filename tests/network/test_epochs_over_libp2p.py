"""Epochs over real sockets: records are agreed on, a stranger becomes a member and is judged."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from node.bundle import Bundle, BundleError, make_bundle
from node.epochs.history import ReadEpochs, chain_to
from node.space import open_space
from node.store import RoundRecord, Store
from node.verify import verify_bundle
from protocol.codec import decode
from protocol.epochs.agreed import checked_record
from protocol.epochs.outcome import RoundOutcome
from protocol.epochs.record import EncoderTable
from protocol.epochs.view import Epoch
from protocol.messages import Certificate, Report
from protocol.statement import expect
from tests.support.local_network import LocalNetwork, local_network, paced_slot_ms

pytestmark = [pytest.mark.anyio, pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(400)]
PATIENCE_S = 240.0
EPOCH = 3
ROUNDS_OF_ITEMS = 240
"""For all slots of the patience: what a busy machine is late for spends its items all the same, and with
fewer the pools were empty before a round with the stranger was certified."""


def newest(network: LocalNetwork, name: str) -> Epoch:
    """The newest epoch a validator has on disk."""
    epochs = ReadEpochs(network.genesis, network.store(name))
    epochs.find(1 << 20)
    return epochs.newest


def outcomes_with(network: LocalNetwork, key: bytes) -> list[RoundOutcome]:
    """Certified rounds in which an encoder revealed."""
    records = network.certified(network.validators[0]).values()
    outcomes = [decode(record.outcome or b"", RoundOutcome, size_bytes_max=1 << 20) for record in records]
    return [
        outcome
        for outcome in outcomes
        if any(k == key and shown for k, shown in zip(outcome.encoders, outcome.revealed, strict=True))
    ]


def exported(network: LocalNetwork, store: Store, record: RoundRecord) -> Bundle:
    """A certified round as `rounds export` writes it."""
    assert record.header is not None
    assert record.certificate is not None
    header = expect(record.header, network.genesis.network_id, Report)
    certificate = decode(record.certificate, Certificate, size_bytes_max=1 << 20)
    body = store.blobs.get(header.body.body)
    assert body is not None
    epochs, encoders, means = chain_to(store, record.epoch)
    assert means
    return make_bundle(network.genesis, epochs, encoders, means, header, body, certificate, store.blobs.get)


def held_of_an_epoch_with_means(network: LocalNetwork) -> list[tuple[Store, RoundRecord, Bundle]]:
    """A certified round that can be exported, of a validator that was there in time: others lack answers."""
    for name in network.validators:
        store = network.store(name)
        for record in network.certified(name).values():
            if record.epoch >= EPOCH:
                with suppress(BundleError):
                    return [(store, record, exported(network, store, record))]
    return []


async def test_stranger__registers_by_work_and_is_judged_in_its_probation(tmp_path: Path) -> None:
    async with local_network(
        tmp_path,
        strangers=1,
        rounds_of_items=ROUNDS_OF_ITEMS,
        slot_ms=paced_slot_ms(),
        epoch_rounds=6,
        registration_work_bits=6,
    ) as network:
        stranger = network.nodes["stranger-0"].me
        await network.until(
            lambda: all(
                network.nodes[name].directory.store.exists()
                and newest(network, name).number >= EPOCH
                and stranger in newest(network, name).encoders
                for name in network.validators
            ),
            PATIENCE_S,
            f"epoch {EPOCH} with the stranger among its encoders",
        )
        await network.until(
            lambda: outcomes_with(network, stranger), PATIENCE_S, "a certified round with the stranger in it"
        )
        outcome = outcomes_with(network, stranger)[0]
        row = outcome.encoders.index(stranger)
        assert outcome.score_ppm[row] > 0
        assert outcome.weight_ppm[row] == 0  # too new to count

        first = network.validators[0]
        chain, *_ = chain_to(network.store(first), EPOCH)
        epoch = Epoch.first(network.genesis)
        for told in chain:
            epoch = Epoch(network.genesis, checked_record(epoch, told), EncoderTable(()))
        for name in network.validators:
            at = ReadEpochs(network.genesis, network.store(name)).find(EPOCH)
            assert at is not None
            assert at.digest == epoch.digest
        assert network.store(first).evidence() == []

        await network.until(
            lambda: held_of_an_epoch_with_means(network),
            PATIENCE_S,
            "a certified round of an epoch with means, its answers held by a validator",
        )
        store, record, bundle = held_of_an_epoch_with_means(network)[0]
        verified = verify_bundle(bundle, network.genesis.network_id)
        assert verified.at.epoch >= EPOCH
        assert "means" in {deviation.term for deviation in verified.deviations}
        space = open_space(network.genesis, store)
        assert space.epoch is not None
        assert space.epoch >= EPOCH
        rows = [one for one in store.embeddings() if one.round == record.round]
        raw = np.stack([np.frombuffer(one.vector, "<f4") for one in rows])
        placed = space.place(raw, record.epoch)
        np.testing.assert_allclose(np.linalg.norm(placed, axis=1), 1.0, atol=1e-5)
        # Centred on means of other texts: what the consensus shares is nearly gone.
        assert np.linalg.norm(raw.mean(0)) < 0.3
