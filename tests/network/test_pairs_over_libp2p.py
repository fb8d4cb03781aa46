"""Encoders gather pairs over real sockets: what validators certify, to the bit, and from before they came."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from node.pairs import PAIRS_MAX, Pairs
from node.pairs.pairs import FILE_NAME
from node.store.database import Access
from protocol.items import item_id
from tests.network.test_round_over_libp2p import PATIENCE_S, assert_no_faults, newest_everywhere
from tests.support.local_network import LocalNetwork, local_network

pytestmark = [pytest.mark.anyio, pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(200)]


def gathered(network: LocalNetwork, name: str) -> frozenset[int]:
    """Rounds an encoder has pairs of."""
    folder = network.nodes[name].directory.root
    if not (folder / FILE_NAME).exists():
        return frozenset()
    with Pairs.open(folder, access=Access.READ_ONLY) as pairs:
        return pairs.rounds()


async def test_encoders__hold_the_pairs_that_validators_have_certified(tmp_path: Path) -> None:
    async with local_network(tmp_path) as network:
        encoders = [name for name in network.nodes if name.startswith("encoder")]
        await network.until(
            lambda: all(len(gathered(network, name)) >= 2 for name in encoders),
            PATIENCE_S,
            "two rounds' pairs at every encoder",
        )
        # One that was away comes back and hears of what was certified meanwhile.
        away = encoders[0]
        await network.stop(away)
        missed_from = max(gathered(network, encoders[1]))
        network.start(away)
        await network.until(lambda: max(newest_everywhere(network)) > missed_from, PATIENCE_S, "rounds go on")
        missed = min(round_ for round_ in newest_everywhere(network) if round_ > missed_from)
        await network.until(
            lambda: missed in gathered(network, away), PATIENCE_S, "what it missed is gathered"
        )
        store = network.store(network.validators[0])
        for name in encoders:
            with Pairs.open(network.nodes[name].directory.root, access=Access.READ_ONLY) as pairs:
                items, vectors = pairs.newest(PAIRS_MAX)
            certified = [store.embedding(item_id(item)) for item in items]
            raw = np.stack([np.frombuffer(one.vector, "<f4") for one in certified if one is not None])
            assert len(raw) == len(items) >= 2 * network.genesis.parameters.scored_items
            # No record has means yet: the vectors come without their common mean.
            np.testing.assert_allclose(vectors, raw - raw.mean(axis=0), atol=1e-6)
        assert_no_faults(network)
