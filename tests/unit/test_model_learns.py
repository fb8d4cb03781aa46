"""A model that learns in its own process, a step at a time, and the role that has it learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import trio

from node.encoders import EncoderError
from node.model_process.client import ModelProcess, ModelSettings
from node.model_process.wire import Learn, LearnProgress, Lesson
from node.pairs import Pair, Pairs
from node.roles.learning import LOOK_EVERY_S, Learning
from node.training.folder import save_model
from node.training.models import EmbeddingModel, Lift, TextBag, build_model

SMALL = TextBag(buckets=1024, width=16, dimensions=16, gram_characters=(3,))
TEXTS = tuple(f"w{n % 7} w{n % 5} w{n % 11} again w{n % 3} and w{n % 13} in the end {n}" for n in range(150))


def lifted(seed: int) -> EmbeddingModel:
    model = build_model(SMALL, seed)
    model.lift = Lift(torch.zeros(16), torch.eye(16, 1024), torch.zeros(1024))
    return model


def add_pairs(folder: Path, round_: int = 3) -> None:
    rows = lifted(9).embed(TEXTS)
    rows -= rows.mean(axis=0)
    with Pairs.open(folder) as pairs:
        pairs.add(
            [Pair(t.encode(), row.tobytes(), round_, 0, True) for t, row in zip(TEXTS, rows, strict=True)]
        )


@pytest.mark.slow
def test_model_process__learns_between_waves_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    save_model(tmp_path / "m", lifted(1))
    add_pairs(tmp_path)
    settings = ModelSettings(f"trained:{tmp_path / 'm'}", "wordllama-64", learnt=tmp_path / "learnt")
    with ModelProcess(settings) as process:
        before = process.encode(TEXTS)
        waves, learnt = 0, None
        while learnt is None:
            learnt = process.learn(Learn(str(tmp_path), 0.01, False)).learnt
            if learnt is None:
                np.testing.assert_array_equal(process.encode(TEXTS), before)  # not before it has ended
                waves += 1
        assert waves > 1
        assert learnt.is_taken
        assert learnt.after > learnt.before
        after = process.encode(TEXTS)
        assert not np.allclose(after, before)
    with ModelProcess(settings) as process:
        np.testing.assert_array_equal(process.encode(TEXTS), after)


@pytest.mark.slow
def test_model_process__ends_a_lesson_when_told(tmp_path: Path) -> None:
    save_model(tmp_path / "m", lifted(1))
    add_pairs(tmp_path)
    settings = ModelSettings(f"trained:{tmp_path / 'm'}", "wordllama-64", learnt=tmp_path / "learnt")
    with ModelProcess(settings) as process:
        assert process.learn(Learn(str(tmp_path), 0.0, False)).learnt is None
        learnt = process.learn(Learn(str(tmp_path), 0.0, True)).learnt
        assert learnt is not None
        assert learnt.steps == 0
        assert not learnt.is_taken
        with pytest.raises(EncoderError, match="no pairs"):
            process.learn(Learn(str(tmp_path / "nowhere"), 0.1, False))
        assert process.encode(TEXTS[:1]).shape == (1, 1024)


@pytest.mark.slow
def test_model_process__of_a_built_in_model_does_not_start_to_learn(tmp_path: Path) -> None:
    settings = ModelSettings("ngram", "wordllama-64", cache_dir=tmp_path, learnt=tmp_path / "learnt")
    with pytest.raises(EncoderError, match="encoder train"), ModelProcess(settings) as process:
        process.start()


@pytest.mark.anyio
async def test_learning__gives_a_lesson_for_each_newer_round_and_only_then(tmp_path: Path) -> None:
    asked: list[Learn] = []

    def step(one: Learn) -> LearnProgress:
        asked.append(one)
        if len(asked) % 3:
            return LearnProgress()
        return LearnProgress(Lesson(0.1, 0.2, True, 150, 4))

    with Pairs.open(tmp_path) as pairs:
        learning = Learning(tmp_path, pairs, step, 0.0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(learning.run)
            await trio.sleep(LOOK_EVERY_S * 1.5)
            assert not asked  # nothing to learn from
            await trio.to_thread.run_sync(add_pairs, tmp_path, 3)
            with trio.fail_after(30):
                while len(asked) < 3:  # noqa: ASYNC110 (counted in a thread)
                    await trio.sleep(0.05)
            await trio.sleep(LOOK_EVERY_S * 1.5)
            assert len(asked) == 3
            await trio.to_thread.run_sync(add_pairs, tmp_path, 4)
            with trio.fail_after(30):
                while len(asked) < 6:  # noqa: ASYNC110 (counted in a thread)
                    await trio.sleep(0.05)
            nursery.cancel_scope.cancel()
    assert all(one.folder == str(tmp_path) for one in asked)
    assert asked[-1].is_last  # its time, no slot at all, was over


@pytest.mark.anyio
async def test_learning__goes_on_after_a_lesson_that_failed(tmp_path: Path) -> None:
    calls: list[Learn] = []

    def step(one: Learn) -> LearnProgress:
        calls.append(one)
        if len(calls) == 1:
            raise EncoderError("the process died")
        return LearnProgress(Lesson(0.2, 0.1, False, 150, 4))

    add_pairs(tmp_path)
    with Pairs.open(tmp_path) as pairs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Learning(tmp_path, pairs, step, 0.0).run)
            with trio.fail_after(30):
                while len(calls) < 2:  # noqa: ASYNC110 (counted in a thread)
                    await trio.sleep(0.05)
            nursery.cancel_scope.cancel()
