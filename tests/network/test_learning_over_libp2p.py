"""An encoder learns while its network runs: from pairs gathered over real sockets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import trio

from node.encoders.strategy import Honest
from node.model_process.client import ModelProcess, ModelSettings
from node.model_process.wire import Learn, LearnProgress, Lesson
from node.pairs import PAIRS_MAX, Pairs
from node.store.database import Access
from node.training.folder import save_model
from node.training.models import EmbeddingModel, Lift, TextBag, build_model
from tests.network.test_pairs_over_libp2p import gathered
from tests.network.test_round_over_libp2p import PATIENCE_S, assert_no_faults
from tests.support.local_network import local_network

pytestmark = [pytest.mark.anyio, pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(300)]


def model_for(folder: Path) -> EmbeddingModel:
    """Knows where the consensus lies, from the pairs in a folder, and nothing of which item lies where."""
    with Pairs.open(folder, access=Access.READ_ONLY) as pairs:
        _, vectors = pairs.newest(PAIRS_MAX)
    basis = np.linalg.svd(vectors, full_matrices=False)[2][:48]
    model = build_model(TextBag(buckets=4096, width=48, dimensions=48), 1)
    model.lift = Lift(torch.zeros(48), torch.from_numpy(basis.copy()), torch.zeros(1024))
    return model


async def test_encoder__is_given_a_lesson_from_the_rounds_of_its_network(tmp_path: Path) -> None:
    async with local_network(tmp_path) as network:
        name = next(name for name in network.nodes if name.startswith("encoder"))
        home = network.nodes[name].directory.root
        # As a word bag at first: three agree, and there is a consensus to learn from.
        await network.until(lambda: len(gathered(network, name)) >= 2, PATIENCE_S, "pairs of two rounds")
        await network.stop(name)
        await trio.to_thread.run_sync(lambda: save_model(tmp_path / "model", model_for(home)))
        settings = ModelSettings(f"trained:{tmp_path / 'model'}", "wordllama-64", learnt=home / "learnt")
        with ModelProcess(settings) as process:
            lessons: list[Lesson] = []

            def learn(asked: Learn) -> LearnProgress:
                far = process.learn(asked)
                if far.learnt is not None:
                    lessons.append(far.learnt)
                return far

            await trio.to_thread.run_sync(process.start)
            network.strategies[name] = Honest(process)  # type: ignore[assignment]
            network.learners[name] = learn
            network.start(name)
            await network.until(lambda: lessons, PATIENCE_S, "a lesson has ended")
            # Whether it helped is another matter: vectors of this network say nothing of words not yet seen.
            assert lessons[0].pairs >= 2 * network.genesis.parameters.scored_items
            assert lessons[0].steps > 0
            assert lessons[0].is_taken == (home / "learnt" / "origin").exists()
            assert_no_faults(network)
            await network.stop(name)
