"""The scoring process: real numbers, errors that come back, deaths that are survived."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import psutil
import pytest
import trio

import node.scoring_worker.client
from node.scoring_task import score_task
from node.scoring_worker import ScoringUnavailable, ScoringWorker, open_scoring_worker
from node.store import DiskBlobs
from tests.support.certified_round import CertifiedRound, certified_round

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def round_() -> CertifiedRound:
    return certified_round()


@pytest.fixture(scope="module")
def blobs_dir(round_: CertifiedRound, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blobs")
    disk = DiskBlobs(folder, 1 << 30)
    for data in round_.blobs.values():
        disk.put(data)
    return folder


@pytest.fixture(autouse=True)
def no_process_left() -> Iterator[None]:
    before = set(psutil.Process().children(recursive=True))
    yield
    assert not set(psutil.Process().children(recursive=True)) - before


@asynccontextmanager
async def worker(blobs_dir: Path) -> AsyncIterator[ScoringWorker]:
    with trio.fail_after(90):
        async with open_scoring_worker(blobs_dir, device="cpu", threads=1, slab_bytes_max=1 << 30) as worker:
            yield worker


def pid(worker: ScoringWorker) -> int:
    assert worker._process is not None
    return worker._process.pid


async def test_worker__scores_compares_and_tells_errors(round_: CertifiedRound, blobs_dir: Path) -> None:
    async with worker(blobs_dir) as scoring:
        await scoring.start()
        scored = await scoring.score(round_.task)
        assert scored == score_task(round_.task, round_.blobs.get)
        assert max(one.difference_ppm for one in await scoring.compare(round_.task, scored)) == 0
        wrong = msgspec.structs.replace(scored, weight=scored.weight[8:] + scored.weight[:8])
        worst = max(await scoring.compare(round_.task, wrong), key=lambda one: one.difference_ppm)
        assert worst.term == "weight"
        first = pid(scoring)
        encoders = round_.task.encoders
        unknown = ((b"?" * 32,) * 3,) * len(encoders)
        missing = replace(round_.task, answers=unknown)
        with pytest.raises(ScoringUnavailable, match="not here: fetch them"):
            await scoring.score(missing)
        # An error is an answer: the process goes on.
        assert await scoring.score(round_.task) == scored
        assert pid(scoring) == first


async def test_killed_worker__is_started_again_by_the_next_request(
    round_: CertifiedRound, blobs_dir: Path
) -> None:
    async with worker(blobs_dir) as scoring:
        await scoring.start()
        first = pid(scoring)
        os.kill(first, signal.SIGKILL)
        assert (await scoring.score(round_.task)).score
        assert pid(scoring) != first


@pytest.mark.slow
async def test_worker_that_hangs__is_ended_and_the_next_request_is_answered(
    round_: CertifiedRound, blobs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with worker(blobs_dir) as scoring:
        await scoring.start()
        first = pid(scoring)
        with monkeypatch.context() as hasty:
            hasty.setattr(node.scoring_worker.client, "ANSWER_WITHIN_S", 0.2)
            os.kill(first, signal.SIGSTOP)
            with pytest.raises(ScoringUnavailable, match=r"silent for 0\.2 s"):
                await scoring.score(round_.task)
        assert not psutil.pid_exists(first)
        assert (await scoring.score(round_.task)).score


@pytest.mark.slow
async def test_cancelled_request__leaves_no_answer_for_the_next(
    round_: CertifiedRound, blobs_dir: Path
) -> None:
    async with worker(blobs_dir) as scoring:
        await scoring.start()
        expected = await scoring.score(round_.task)
        with trio.move_on_after(0.001) as scope:
            await scoring.compare(round_.task, expected)
        assert scope.cancelled_caught
        assert await scoring.score(round_.task) == expected


async def test_process_that_dies_of_every_request__is_given_up(
    round_: CertifiedRound, blobs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[int] = []
    opened = trio.lowlevel.open_process

    async def dying(command: list[str], **options: object) -> trio.Process:
        starts.append(1)
        # Says it is ready, then dies of the first request.
        code = (
            "import sys; from node.pipe_frames import read_frame;"
            "from node.scoring_worker.wire import Response;"
            "from node.scoring_worker.__main__ import _write;"
            "read_frame(sys.stdin.buffer); _write(sys.stdout.buffer, Response());"
            "read_frame(sys.stdin.buffer)"
        )
        return await opened([command[0], "-c", code], **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(trio.lowlevel, "open_process", dying)
    async with worker(blobs_dir) as scoring:
        with pytest.raises(ScoringUnavailable, match="died 3 times"):
            await scoring.score(round_.task)
    assert len(starts) == node.scoring_worker.client.STARTS_MAX


@pytest.mark.parametrize("fault", ["exits at once", "cannot be started"])
async def test_process_that_does_not_start__is_said(
    blobs_dir: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    opened = trio.lowlevel.open_process

    async def failing(command: list[str], **options: object) -> trio.Process:
        if fault == "cannot be started":
            raise OSError(11, "Resource temporarily unavailable")
        return await opened([command[0], "-c", "raise SystemExit(3)"], **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(trio.lowlevel, "open_process", failing)
    async with worker(blobs_dir) as scoring:
        with pytest.raises(ScoringUnavailable, match="start"):
            await scoring.start()


@pytest.mark.slow
async def test_folder_called_node_where_the_user_is__is_not_run(
    round_: CertifiedRound, blobs_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "__init__.py").write_text("raise SystemExit('not ours')")
    monkeypatch.chdir(tmp_path)
    async with worker(blobs_dir) as scoring:
        await scoring.start()
        assert psutil.pid_exists(pid(scoring))
