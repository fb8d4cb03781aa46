"""Epochs over real sockets: records are agreed on, a stranger becomes a member and is judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.epochs.history import ReadEpochs, chain_to
from protocol.codec import decode
from protocol.epochs.agreed import checked_record
from protocol.epochs.outcome import RoundOutcome
from protocol.epochs.record import EncoderTable
from protocol.epochs.view import Epoch
from tests.support.local_network import LocalNetwork, local_network

pytestmark = [pytest.mark.anyio, pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(400)]
PATIENCE_S = 240.0
EPOCH = 3


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


async def test_stranger__registers_by_work_and_is_judged_in_its_probation(tmp_path: Path) -> None:
    async with local_network(tmp_path, strangers=1, epoch_rounds=6, registration_work_bits=6) as network:
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
