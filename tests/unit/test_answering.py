"""The model's side of an encoder: one wave at a time, and none for nobody."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import trio
from numpy.typing import NDArray

from node.encoders.strategy import WaveAnswer
from node.roles.answering import Answering
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
        self, wave: int, views: Sequence[str], history: Mapping[int, WaveAnswer]
    ) -> NDArray[np.float32]:
        self.go_on.wait(10)
        self.seen.append((wave, tuple(sorted(history))))
        return np.full((len(views), 1024), wave, dtype=np.float32)

    def offer(self, published: NDArray[np.float32]) -> None:
        """Of no use to it."""


async def test_waves_of_a_round__see_the_answers_before_them_until_they_are_forgotten() -> None:
    strategy = Slow()
    strategy.go_on.set()
    answering = Answering(strategy, 60_000)
    at = ShardRound(0, 3, 0)
    first = await answering.answer(at, 1, ["a", "b"])
    assert np.frombuffer(first, "<f4").reshape(2, 1024).tolist() == np.ones((2, 1024)).tolist()
    await answering.answer(at, 2, ["c"])
    answering.forget_before(4)
    await answering.answer(at, 3, ["d"])
    assert strategy.seen == [(1, ()), (2, (1,)), (3, ())]


async def test_wave_that_is_over_when_the_model_is_free__is_not_embedded_for_nobody() -> None:
    strategy = Slow()
    answering = Answering(strategy, 50)
    answers: dict[int, bytes] = {}

    async def ask(round_: int) -> None:
        answers[round_] = await answering.answer(ShardRound(0, round_, 0), 1, ["a"])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, 1)
        await trio.sleep(0.02)
        nursery.start_soon(ask, 2)
        await trio.sleep(0.2)  # real time: the thread is real, and so is the deadline that passes
        strategy.go_on.set()
    assert len(answers[1]) == 4096
    assert answers[2] == b""
    assert [wave for wave, _ in strategy.seen] == [1]
