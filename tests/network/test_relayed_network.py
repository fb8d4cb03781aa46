"""Encoders connected to few validators: they relay gossip, and dial those of their shards."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.network.test_round_over_libp2p import assert_no_faults, newest_everywhere
from tests.support.local_network import LocalNetwork, local_network

pytestmark = [pytest.mark.anyio, pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(300)]
VALIDATORS, ENCODERS, STANDING, SHARD = 6, 8, 2, 4
LISTENING = {"listen": ["/ip4/127.0.0.1/tcp/0"], "standing_validators": STANDING, "relay_peers": 3}
PATIENCE_S = 200.0


def full_rounds(network: LocalNetwork) -> list[int]:
    """Rounds certified everywhere in which every sampled encoder answered everything."""
    held = newest_everywhere(network)
    scores = network.store(network.validators[0]).scores() if held else []
    answered = [score.round for score in scores if score.terms["availability"] == 1]
    return [round_ for round_ in held if answered.count(round_) == SHARD]


def validators_of(network: LocalNetwork) -> list[int]:
    """How many validators each encoder is connected to."""
    statuses = (network.status(name) for name in network.strategies)
    return [sum(peer.role == "validator" for peer in status.peers) for status in statuses if status]


async def test_encoders_with_two_standing_validators__all_answer_and_rounds_are_certified(
    tmp_path: Path,
) -> None:
    timing = {"slot_ms": 8_000, "wave_deadline_ms": 4_000, "reveal_deadline_ms": 4_000}
    async with local_network(
        tmp_path, VALIDATORS, ENCODERS, encoder_settings=LISTENING, shard_size=SHARD, **timing
    ) as network:
        connected: set[int] = set()

        def enough() -> bool:
            connected.update(validators_of(network))
            return len(full_rounds(network)) >= 4

        await network.until(enough, PATIENCE_S, "four full rounds")
        assert_no_faults(network)
        for name in network.validators:
            assert network.store(name).evidence() == []
        links = [
            {peer.role for peer in status.peers} for name in network.nodes if (status := network.status(name))
        ]
        assert len(links) == VALIDATORS + ENCODERS
        # Encoders are connected to encoders; a validator that is met by nobody has none.
        assert all("encoder" in roles for roles in links[VALIDATORS:])
        # Its two alone, or those of a shard beside them.
        assert STANDING in connected
        assert max(connected) > STANDING
