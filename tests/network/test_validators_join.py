"""A stranger's validator joins a network that runs, over real sockets: it deals, attests and proposes."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.bundle import Bundle, make_bundle
from node.epochs.history import ReadEpochs, chain_to
from node.joining import joining_card, signed_card
from node.stake_wish import StakeWish, read_wish, write_wish
from node.store import RoundRecord
from node.verify import verify_bundle
from protocol.codec import decode
from protocol.epochs.agreed import checked_record
from protocol.epochs.record import EncoderTable
from protocol.epochs.view import Epoch
from protocol.messages import Certificate, Report
from protocol.statement import expect
from tests.support.local_network import LocalNetwork, local_network

pytestmark = [pytest.mark.anyio, pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(500)]
PATIENCE_S = 300.0
NEWCOMER = "joiner-0"
AMOUNT = 50
CERTIFICATE_BYTES_MAX = 1 << 20


def newest(network: LocalNetwork, name: str) -> Epoch:
    """The newest epoch a validator has on disk."""
    epochs = ReadEpochs(network.genesis, network.store(name))
    epochs.find(1 << 20)
    return epochs.newest


def exported(network: LocalNetwork, record: RoundRecord) -> Bundle:
    """A certified round as `rounds export` writes it."""
    store = network.store("validator-0")
    header = expect(record.header or b"", network.genesis.network_id, Report)
    certificate = decode(record.certificate or b"", Certificate, size_bytes_max=CERTIFICATE_BYTES_MAX)
    body = store.blobs.get(header.body.body)
    assert body is not None
    epochs, encoders, means = chain_to(store, record.epoch)
    return make_bundle(network.genesis, epochs, encoders, means, header, body, certificate, store.blobs.get)


def by_newcomer(network: LocalNetwork, key: bytes) -> tuple[int, int]:
    """Certified rounds the newcomer dealt, and those whose certificate holds its vote."""
    dealt = attested = 0
    for record in network.certified("validator-0").values():
        certificate = decode(record.certificate or b"", Certificate, size_bytes_max=CERTIFICATE_BYTES_MAX)
        dealt += record.dealer == key
        attested += any(vote.validator == key for vote in certificate.attestations)
    return dealt, attested


async def test_strangers_validator__is_given_stake_then_deals_and_attests(tmp_path: Path) -> None:
    async with local_network(tmp_path, validators=3, joiners=1, epoch_rounds=6) as network:
        giver, stranger = network.nodes["validator-0"], network.nodes[NEWCOMER]
        card = signed_card(
            joining_card(stranger.key, network.genesis, network.joining[NEWCOMER]), network.genesis
        )
        write_wish(
            giver.directory, StakeWish(network.genesis.network_id, stranger.me, AMOUNT // 2, (card,), ())
        )
        await network.until(
            lambda: all(
                network.nodes[name].directory.store.exists()
                and stranger.me in newest(network, name).validators
                for name in (*network.validators, NEWCOMER)
            ),
            PATIENCE_S,
            "an epoch with the stranger among its validators, on every disk",
        )
        assert read_wish(giver.directory, network.genesis.network_id) is None
        await network.until(
            lambda: min(by_newcomer(network, stranger.me)) > 0,
            PATIENCE_S,
            "a certified round dealt by the newcomer, and one that it attested",
        )
        last = newest(network, "validator-0")
        assert last.validators[stranger.me].addresses == network.joining[NEWCOMER].addresses

        # The chain of records alone tells who validates.
        chain, *_ = chain_to(network.store(NEWCOMER), last.number)
        epoch = Epoch.first(network.genesis)
        for told in chain:
            epoch = Epoch(network.genesis, checked_record(epoch, told), EncoderTable(()))
        assert epoch.validators == last.validators
        for name in (*network.validators, NEWCOMER):
            assert network.store(name).evidence() == []

        # What the newcomer dealt is proof to anyone who knows the network id alone.
        record = next(one for one in network.certified("validator-0").values() if one.dealer == stranger.me)
        verified = verify_bundle(exported(network, record), network.genesis.network_id)
        assert verified.at.round == record.round
