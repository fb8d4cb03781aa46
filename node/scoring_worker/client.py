"""The node's end of the scoring process."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import trio

from node.pipe_frames import FRAME_BYTES_MAX, PREFIX
from node.scoring_worker.launch import COMMAND, environment
from node.scoring_worker.wire import Request, Response, Setup
from protocol.report import Deviation, ScoredShard, ScoreTask

STARTS_MAX = 3
"""A process that dies this often in a row is not started again for the same request."""
START_WITHIN_S = 180.0
"""Compiling the kernels, once on a machine, takes 15 s of a quiet core."""
ANSWER_WITHIN_S = 180.0
"""A process that is silent for longer hangs: it is ended, and the next request starts another."""


class ScoringUnavailable(RuntimeError):  # noqa: N818 (says what it is)
    """Scoring could not be done here; says nothing about the report."""


class ScoringWorker:
    """One request at a time; a process that died is started again with the next request."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._lock = trio.Lock()
        self._process: trio.Process | None = None

    @property
    def pid(self) -> int | None:
        """Of the process, while one runs. From any thread."""
        process = self._process
        return None if process is None else process.pid

    async def score(self, task: ScoreTask) -> ScoredShard:
        """Scores of the revealed answers. Raises ScoringUnavailable."""
        response = await self._ask(Request(task, None))
        if response.scores is None:
            raise ScoringUnavailable(response.error or "the scoring process gave no scores")
        return response.scores

    async def compare(self, task: ScoreTask, claimed: ScoredShard) -> tuple[Deviation, ...]:
        """The largest deviation of every term from the claim. Raises ScoringUnavailable."""
        response = await self._ask(Request(task, claimed))
        if response.deviations is None:
            raise ScoringUnavailable(response.error or "the scoring process compared nothing")
        return response.deviations

    async def start(self) -> None:
        """Start the process and wait until it has imported what it needs. Raises ScoringUnavailable."""
        async with self._lock:
            await self._started()

    async def stop(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        with trio.CancelScope(shield=True):
            process.kill()
            await process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    await pipe.aclose()

    async def _ask(self, request: Request) -> Response:
        data = msgspec.msgpack.encode(request)
        async with self._lock:
            for _ in range(STARTS_MAX):
                process = await self._started()
                try:
                    return await self._exchange(process, data, ANSWER_WITHIN_S)
                except EOFError:
                    continue
            raise ScoringUnavailable(f"the scoring process died {STARTS_MAX} times over one request")

    async def _started(self) -> trio.Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        try:
            process = await trio.lowlevel.open_process(
                list(COMMAND),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment(self._setup.threads),
            )
        except OSError as error:
            raise ScoringUnavailable(f"the scoring process cannot be started: {error}") from error
        self._process = process
        try:
            await self._exchange(process, msgspec.msgpack.encode(self._setup), START_WITHIN_S)
        except EOFError:
            raise ScoringUnavailable(
                "the scoring process does not start; see the log for its error"
            ) from None
        return process

    async def _exchange(self, process: trio.Process, data: bytes, within_s: float) -> Response:
        """One frame there and one back. EOFError when the process died; it is ended for any other failure."""
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with trio.fail_after(within_s):
                await process.stdin.send_all(PREFIX.pack(len(data)) + data)
                (size,) = PREFIX.unpack(await _read_exactly(process.stdout, PREFIX.size))
                if size > FRAME_BYTES_MAX:
                    raise EOFError("a frame over the limit")
                return msgspec.msgpack.decode(await _read_exactly(process.stdout, size), type=Response)
        except BaseException as error:
            # Also when cancelled: half an answer on the pipe must not be read as the next one.
            await self.stop()
            if isinstance(error, trio.TooSlowError):
                raise ScoringUnavailable(f"the scoring process was silent for {within_s:g} s") from None
            if isinstance(error, trio.BrokenResourceError | trio.ClosedResourceError | msgspec.DecodeError):
                raise EOFError("the scoring process is gone") from error
            raise


async def _read_exactly(stream: trio.abc.ReceiveStream, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        chunk = await stream.receive_some(size - len(received))
        if not chunk:
            raise EOFError("the scoring process closed its pipe")
        received += chunk
    return bytes(received)


@asynccontextmanager
async def open_scoring_worker(
    blobs_dir: Path, *, device: str, threads: int, slab_bytes_max: int
) -> AsyncIterator[ScoringWorker]:
    """A worker whose process ends with the block; it is started by `start` or the first request."""
    worker = ScoringWorker(Setup(str(blobs_dir), device, threads, slab_bytes_max))
    try:
        yield worker
    finally:
        await worker.stop()
