"""The doctor beside running nodes: it dials them, reads their clocks, and knows their files."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from config.genesis import save_genesis
from node.doctor.examining import Examined, examine
from node.doctor.finding import Verdict
from node.doctor.registry import CHECKS
from node.doctor.subject import Reach, subject_of
from tests.support.local_network import LocalNetwork, local_network

pytestmark = [pytest.mark.anyio, pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(200)]
NAMES = ("peers", "reachable", "clock", "running", "membership", "directory", "secrets", "store")


async def doctored(network: LocalNetwork, name: str) -> dict[str, Examined]:
    """What the doctor says of one node, beside the loop that the nodes run on."""
    node = network.nodes[name]
    subject = subject_of(node.directory.root.parent, None, Reach.NETWORK)
    checks = [check for check in CHECKS if check.name in NAMES]
    found = await trio.to_thread.run_sync(examine, subject, checks)
    return {one.check.name: one for one in found}


async def test_doctor__finds_nothing_wrong_with_running_nodes_and_then_who_is_gone(tmp_path: Path) -> None:
    async with local_network(tmp_path, validators=2, encoders=3) as network:
        for node in network.nodes.values():
            save_genesis(node.directory.genesis, network.genesis)
        await network.until(
            lambda: all((said := network.status(name)) and said.peers for name in network.nodes),
            60,
            "everyone has a peer",
        )
        for name in ("validator-0", "encoder-0"):
            found = await doctored(network, name)
            wrong = [
                one.findings for one in found.values() if one.verdict in (Verdict.WARNING, Verdict.ERROR)
            ]
            assert wrong == [], wrong
            dialled = 1 if name == "validator-0" else 2
            assert found["peers"].findings[0].seen.startswith(f"{dialled} of {dialled} peers answer")
            said = found["reachable"].findings[0].seen
            assert said.startswith("1 of 1 peers" if name == "validator-0" else "it need not be"), said
            # The nodes themselves tell the time: a clock of this machine is that of this machine.
            assert any("give or take" in one.seen for one in found["clock"].findings)
        await network.stop("validator-1")
        found = await doctored(network, "encoder-0")
        assert found["peers"].verdict is Verdict.WARNING
        assert "refused" in found["peers"].findings[0].seen
        network.start("validator-1")
