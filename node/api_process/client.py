"""The node's end of the API process: started, told, watched, started again; no round ever waits for it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable
from typing import Final

import structlog
import trio

from node.api_process.feed import Feed, Reader
from node.api_process.launch import COMMAND, environment
from node.api_process.wire import SAID_BYTES_MAX, STOP, Said, Word
from node.pipe_frames import PREFIX
from protocol.codec import CodecError, decode, encode

START_WITHIN_S: Final = 600.0
"""Importing takes two seconds of a quiet core, and many where twenty others want it first."""
SILENT_MAX_S: Final = 30.0
"""The process says every second that it lives; after so long without a word it hangs and is ended."""
STOP_WITHIN_S: Final = 3.0
"""Requests under way are given two seconds of it."""
EXIT_WITHIN_S: Final = 1.0
"""Between the end of its pipe and its own."""
RESTART_FIRST_S: Final = 0.5
RESTART_MAX_S: Final = 30.0
STEADY_S: Final = 60.0
"""A process that served so long is started again as if it were the first."""
_CHUNK_BYTES: Final = 4_096

log = structlog.get_logger(__name__)


class ApiProcess:
    """Serves on one listening socket for as long as `run` runs, whatever becomes of a process.

    Between two processes who asks waits in the socket's backlog: the address stays.
    """

    def __init__(
        self,
        listening: socket.socket,
        settings: bytes,
        genesis: bytes,
        feed: Feed,
        on_submitted: Callable[[], None],
    ) -> None:
        """The socket is closed when `run` ends."""
        self._listening = listening
        self._settings = settings
        self._genesis = genesis
        self._feed = feed
        self._on_submitted = on_submitted
        self._pid: int | None = None

    @property
    def pid(self) -> int | None:
        """Of the process that serves; None until it has said so."""
        return self._pid

    async def run(self, url: str) -> None:
        """Keep a process serving until cancelled, then stop it in order."""
        wait_s = RESTART_FIRST_S
        with self._listening:
            while True:
                began_s = trio.current_time()
                reason = await self._serve(url)
                if trio.current_time() - began_s >= STEADY_S:
                    wait_s = RESTART_FIRST_S
                log.error("api.lost", reason=reason, restart_s=wait_s)
                await trio.sleep(wait_s)
                wait_s = min(2 * wait_s, RESTART_MAX_S)

    async def _serve(self, url: str) -> str:
        """One process, from its start to its end; why it ended."""
        try:
            process = await trio.lowlevel.open_process(
                list(COMMAND),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment(),
                pass_fds=(self._listening.fileno(),),
            )
        except OSError as error:
            return f"it cannot be started: {error}"
        assert process.stdin is not None
        pipe = _Sender(process.stdin)
        reason = ""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._tell, pipe)
                reason = await self._hear(process, url)
                nursery.cancel_scope.cancel()
        finally:
            self._pid = None
            with trio.CancelScope(shield=True):
                # Cancelled, the node stops; otherwise the process is dead or hangs.
                await _end(process, None if reason else pipe)
        return reason

    async def _tell(self, pipe: _Sender) -> None:
        reader = Reader(self._feed)
        setup = reader.setup(self._settings, self._genesis, os.getpid(), self._listening.fileno())
        try:
            await pipe.send(encode(setup))
            while True:
                tidings = reader.next()
                if tidings is None:
                    await self._feed.news()
                else:
                    await pipe.send(encode(tidings))
        except trio.BrokenResourceError:
            return  # it has died, which `_hear` hears too

    async def _hear(self, process: trio.Process, url: str) -> str:
        assert process.stdout is not None
        words = _Words(process.stdout)
        within_s = START_WITHIN_S
        try:
            while (word := await words.next(within_s)) is not None:
                if word is Word.READY:
                    within_s = SILENT_MAX_S
                    self._pid = process.pid
                    log.info("api.ready", url=url, pid=process.pid)
                elif word is Word.SUBMITTED:
                    self._on_submitted()
        except TimeoutError:
            return f"it said nothing for {within_s:.0f} s"
        except CodecError as error:
            return f"it said what nobody understands ({error})"
        with trio.move_on_after(EXIT_WITHIN_S):
            await process.wait()
        return f"it ended with {_code(process)}"


def _code(process: trio.Process) -> str:
    code = process.returncode
    if code is None:
        return "its pipe closed"
    return signal.Signals(-code).name if code < 0 else f"code {code}: the log says more"


class _Sender:
    """Frames to the process, and whether the last one was sent whole."""

    def __init__(self, stream: trio.abc.SendStream) -> None:
        self._stream = stream
        self.is_whole = True

    async def send(self, frame: bytes) -> None:
        """Wait until the process has taken the frame. Raises trio.BrokenResourceError."""
        self.is_whole = False
        await self._stream.send_all(PREFIX.pack(len(frame)) + frame)
        self.is_whole = True


class _Words:
    """What the process says."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    async def next(self, within_s: float) -> Word | None:
        """The next word; None when the process is gone. Raises TimeoutError, CodecError."""
        while (word := self._taken()) is None:
            chunk: bytes | bytearray | None = None
            with trio.move_on_after(within_s):
                try:
                    chunk = await self._stream.receive_some(_CHUNK_BYTES)
                except trio.BrokenResourceError:
                    return None
            # Whether the time is over says nothing: a node that was suspended itself finds words waiting.
            if chunk is None:
                raise TimeoutError
            if not chunk:
                return None
            self._buffer += chunk
        return word

    def _taken(self) -> Word | None:
        if len(self._buffer) < PREFIX.size:
            return None
        (size,) = PREFIX.unpack_from(self._buffer)
        if size > SAID_BYTES_MAX:
            raise CodecError(f"a frame of {size} bytes")
        end = PREFIX.size + size
        if len(self._buffer) < end:
            return None
        frame = bytes(self._buffer[PREFIX.size : end])
        del self._buffer[:end]
        return decode(frame, Said, size_bytes_max=SAID_BYTES_MAX).word


async def _end(process: trio.Process, pipe: _Sender | None) -> None:
    """End a process; in order where it has read all that was sent to `pipe`."""
    if pipe is not None and pipe.is_whole:
        with trio.move_on_after(STOP_WITHIN_S):
            try:
                await pipe.send(STOP)
                await process.wait()
            except trio.BrokenResourceError:
                log.debug("api.gone")  # before it was asked to
    if process.returncode is None:
        process.kill()
    await process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            await stream.aclose()
