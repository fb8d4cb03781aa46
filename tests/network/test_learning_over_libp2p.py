"""An encoder learns while its network runs: from pairs gathered over real sockets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import trio

from node.encoders.strategy import Honest
from node.model_process.client import ModelProcess, ModelSettings
from node.training.folder import save_model
from node.training.models import Lift, TextBag, build_model
from tests.network.test_round_over_libp2p import PATIENCE_S, assert_no_faults, newest_everywhere
from tests.support.local_network import local_network

pytestmark = [pytest.mark.anyio, pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(300)]


async def test_encoder__learns_from_the_rounds_it_takes_part_in(tmp_path: Path) -> None:
    model = build_model(TextBag(buckets=4096, width=64, dimensions=64), 1)
    basis = torch.linalg.qr(torch.randn(1024, 64, generator=torch.Generator().manual_seed(1)))[0]
    model.lift = Lift(torch.zeros(64), basis.T.contiguous(), torch.zeros(1024))
    save_model(tmp_path / "model", model)
    learnt = tmp_path / "learnt"
    settings = ModelSettings(f"trained:{tmp_path / 'model'}", "wordllama-64", learnt=learnt)
    probe = ["one view of some words"]
    with ModelProcess(settings) as process:
        # Before the network starts: torch is imported for longer than a round lasts, on a loaded machine.
        before = await trio.to_thread.run_sync(process.encode, probe)
        async with local_network(tmp_path) as network:
            name = next(name for name in network.nodes if name.startswith("encoder"))
            await network.stop(name)
            network.strategies[name] = Honest(process)  # type: ignore[assignment]
            network.learners[name] = process.learn
            network.start(name)
            await network.until((learnt / "origin").exists, PATIENCE_S, "better weights are kept")
            assert not np.allclose(await trio.to_thread.run_sync(process.encode, probe), before)
            seen = max(newest_everywhere(network))
            await network.until(
                lambda: max(newest_everywhere(network)) > seen, PATIENCE_S, "rounds go on with them"
            )
            assert_no_faults(network)
            await network.stop(name)
