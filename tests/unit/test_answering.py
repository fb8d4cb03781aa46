"""The model's side of an encoder: one wave at a time, and none for nobody."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import structlog
import trio
import trio.testing
from numpy.typing import NDArray

from node.encoders.encoder import View
from node.encoders.strategy import Honest, WaveAnswer
from node.model_process.client import ModelProcess, ModelSettings
from node.roles.answering import WAVES_WAITING_MAX, Answering
from protocol.modalities import IMAGE, TEXT, Modality
from protocol.schedule import ShardRound

pytestmark = pytest.mark.anyio


class Slow:
    """Answers with the number of the wave once it is let go on."""

    name = "slow"
    delay_after_deadline_ms: int | None = None
    wants_published = False

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.seen: list[tuple[int, tuple[int, ...]]] = []

    def answer(
        self, wave: int, views: Sequence[View], history: Mapping[int, WaveAnswer]
    ) -> NDArray[np.float32]:
        self.go_on.wait(10)
        self.seen.append((wave, tuple(sorted(history))))
        return np.full((len(views), 1024), wave, dtype=np.float32)

    def offer(self, published: NDArray[np.float32]) -> None:
        """Of no use to it."""


async def test_waves_of_a_round__see_the_answers_before_them_until_they_are_forgotten() -> None:
    strategy = Slow()
    strategy.go_on.set()
    answering = Answering(strategy, 60_000, TEXT)
    at = ShardRound(0, 3, 0)
    first = await answering.answer(at, 1, [b"a", b"b"])
    assert np.frombuffer(first, "<f4").reshape(2, 1024).tolist() == np.ones((2, 1024)).tolist()
    await answering.answer(at, 2, [b"c"])
    answering.forget_before(4)
    await answering.answer(at, 3, [b"d"])
    assert strategy.seen == [(1, ()), (2, (1,)), (3, ())]


async def test_wave_that_is_over_while_the_model_has_another__is_skipped_at_its_deadline() -> None:
    strategy = Slow()
    answering = Answering(strategy, 50, TEXT)
    answers: dict[int, bytes] = {}

    async def ask(round_: int) -> None:
        answers[round_] = await answering.answer(ShardRound(0, round_, 0), 1, [b"a"])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, 1)
        await trio.sleep(0.02)
        await ask(2)  # real time: the thread is real, and so is the deadline that passes
        assert answers == {2: b""}
        strategy.go_on.set()
    assert len(answers[1]) == 4096
    assert [wave for wave, _ in strategy.seen] == [1]


async def test_waves_beyond_those_that_may_wait__are_refused_at_once_and_told() -> None:
    strategy = Slow()
    answering = Answering(strategy, 60_000, TEXT)
    answers: dict[int, bytes] = {}

    async def ask(round_: int) -> None:
        answers[round_] = await answering.answer(ShardRound(0, round_, 0), 1, [b"a"])

    with structlog.testing.capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            for round_ in range(1 + WAVES_WAITING_MAX):
                nursery.start_soon(ask, round_)
            await trio.testing.wait_all_tasks_blocked(0.05)
            await ask(99)
            strategy.go_on.set()
    assert answers.pop(99) == b""
    assert sorted(answers) == list(range(1 + WAVES_WAITING_MAX))
    assert all(len(answer) == 4096 for answer in answers.values())
    refused = [one for one in logs if one["event"] == "wave.refused"]
    assert [(one["round"], one["waiting"]) for one in refused] == [(99, WAVES_WAITING_MAX)]


FAULTY = """
import os
import numpy as np

def encode(views):
    rows = np.array([[len(view), view.count("e"), 1] for view in views], float)
    match views[0]:
        case "shape": return rows[:, 0]
        case "numbers": rows[1:] = np.nan
        case "raise": raise LookupError("weights are gone")
        case "die": os._exit(9)
    return rows
"""


async def test_model_with_faults__costs_its_waves_says_why_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "faulty.py"
    path.write_text(FAULTY)
    with ModelProcess(ModelSettings(f"{path}:encode", "wordllama-64", tmp_path)) as process:
        answering = Answering(Honest(process), 60_000, TEXT)
        sizes = []
        with structlog.testing.capture_logs() as logs:
            for round_, first in enumerate(("shape", "raise", "die", "numbers", "fine")):
                answer = await answering.answer(ShardRound(0, round_, 0), 1, [first.encode(), b"b"])
                sizes.append(len(answer))
    assert sizes == [0, 0, 0, 2 * 4096, 2 * 4096]
    told = [one["reason"] for one in logs if one["event"] == "wave.unanswered"]
    assert len(told) == 3
    for reason, words in zip(
        told, ["shape (2,) for 2 views", "weights are gone", "exit status 9"], strict=True
    ):
        assert words in reason
    assert [one["withheld"] for one in logs if one["event"] == "wave.encoded"] == [1, 0]


@pytest.mark.parametrize(("modality", "seen"), [(TEXT, "aé"), (IMAGE, "aé".encode())])
async def test_views__are_text_in_a_text_network_and_bytes_in_any_other(
    modality: Modality, seen: str | bytes
) -> None:
    class Looking(Slow):
        views: Sequence[str | bytes] = ()

        def answer(
            self, wave: int, views: Sequence[str], history: Mapping[int, WaveAnswer]
        ) -> NDArray[np.float32]:
            self.views = views
            return np.zeros((len(views), 1024), np.float32)

    strategy = Looking()
    await Answering(strategy, 60_000, modality).answer(ShardRound(0, 1, 0), 1, ["aé".encode()])
    assert strategy.views == (seen,)
