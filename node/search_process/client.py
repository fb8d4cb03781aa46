"""The node's end of the search process: bounded, for any thread; nothing runs until somebody asks."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from threading import BoundedSemaphore, Condition, Lock, Thread
from time import monotonic
from typing import Final, Self, TypeVar

import msgspec
import structlog

from node.pipe_frames import ChildPipes
from node.search_process.errors import (
    SearchBusyError,
    SearchError,
    SearchRefusedError,
    SearchUnavailableError,
)
from node.search_process.launch import COMMAND, environment
from node.search_process.wire import (
    Drawn,
    Find,
    Follow,
    Followed,
    Found,
    Projection,
    Request,
    Response,
    SearchSetup,
)

WAITING_MAX: Final = 16
"""Searches under way and waiting; one more is refused."""
TURN_WITHIN_S: Final = 20.0
"""A search whose turn does not come for longer is refused."""
START_WITHIN_S: Final = 60.0
ANSWER_WITHIN_S: Final = 120.0
"""A process that is silent for longer hangs. The first search of an epoch places all vectors anew."""
FOLLOW_S: Final = 0.5
"""So long at most a search waits for what is being taken in, but for a single round that takes longer."""
REST_S: Final = 600.0
"""A process nobody asked for so long is ended; the next search starts it again."""
EXIT_WITHIN_S: Final = 2.0

_Kind = TypeVar("_Kind")

log = structlog.get_logger(__name__)


class SearchProcess:
    """One request at a time; a process that died is started again with the next request.

    While it runs, a thread has it follow what is certified: call `certified` when something was.
    """

    def __init__(self, setup: SearchSetup) -> None:
        self._setup = setup
        self._process: subprocess.Popen[bytes] | None = None
        self._pipes: ChildPipes | None = None
        self._turn = Lock()
        self._places = BoundedSemaphore(WAITING_MAX)
        self._changed = Condition()
        self._behind = True
        self._stopped = False
        self._asked_s = 0.0
        self._follower: Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Of the process; 0 while none runs."""
        process = self._process
        return 0 if process is None else process.pid

    def find(self, asked: Find) -> Found:
        """The nearest items. Raises SearchRefusedError, SearchBusyError, SearchUnavailableError."""
        return _given(self._asked(asked).found)

    def draw(self, asked: Projection) -> Drawn:
        """Points of the map. Raises SearchRefusedError, SearchBusyError, SearchUnavailableError."""
        return _given(self._asked(asked).drawn)

    def follow(self, within_s: float = FOLLOW_S) -> Followed:
        """Take in some of what is not there yet. Raises SearchUnavailableError."""
        with self._turn:
            return _given(self._exchanged(Follow(within_s)).followed)

    def certified(self) -> None:
        """There is something new in the store. From any thread; never waits."""
        with self._changed:
            self._behind = True
            self._changed.notify()

    def stop(self) -> None:
        """End the process and whoever follows."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        # Whoever waits for an answer hears that the process died.
        process = self._process
        if process is not None:
            process.kill()
        follower = self._follower
        if follower is not None:
            follower.join()
        with self._turn:
            self._end()

    def _asked(self, request: Find | Projection) -> Response:
        if not self._places.acquire(blocking=False):
            raise SearchBusyError(f"{WAITING_MAX} searches wait already: search again in a second")
        try:
            if not self._turn.acquire(timeout=TURN_WITHIN_S):
                raise SearchBusyError(f"no turn came in {TURN_WITHIN_S:.0f} s: search again in a few seconds")
            try:
                self._asked_s = monotonic()
                response = self._exchanged(request)
            finally:
                self._turn.release()
        finally:
            self._places.release()
        self._follow_on()
        return response

    def _exchanged(self, request: Request) -> Response:
        response = self._exchange(self._started(), msgspec.msgpack.encode(request), ANSWER_WITHIN_S)
        if response.refused is not None:
            raise SearchRefusedError(response.refused.message, response.refused.reason)
        if response.error is not None:
            raise self._unavailable(response.error)
        return response

    def _started(self) -> ChildPipes:
        if self._stopped:
            raise SearchUnavailableError("the node is stopping: ask another validator")
        if self._process is not None and self._pipes is not None and self._process.poll() is None:
            return self._pipes
        self._end()
        try:
            self._process = subprocess.Popen(
                COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment(),
                bufsize=0,
            )
        except OSError as error:
            raise self._unavailable(f"the search process cannot be started: {error}") from error
        self._pipes = ChildPipes(self._process)
        self.certified()  # there may be, since it last ran
        ready = self._exchange(self._pipes, msgspec.msgpack.encode(self._setup), START_WITHIN_S)
        if ready.error is not None:
            self._end()
            raise self._unavailable(ready.error)
        return self._pipes

    def _exchange(self, pipes: ChildPipes, data: bytes, within_s: float) -> Response:
        try:
            pipes.send(data, within_s)
            return msgspec.msgpack.decode(pipes.receive(within_s), type=Response)
        except TimeoutError:
            self._end()
            raise self._unavailable(
                f"the search process was silent for {within_s:.0f} s and was ended"
            ) from None
        except (EOFError, OSError, msgspec.DecodeError):
            self._end()
            raise self._unavailable("the search process died: see what it printed") from None

    def _unavailable(self, reason: str) -> SearchUnavailableError:
        # The operator's log gets the reason with its paths, whoever asked does not.
        if not self._stopped:
            log.warning("search.unavailable", reason=reason)
        return SearchUnavailableError(
            "this node cannot search now, and its log says why: try again soon, or ask another validator"
        )

    def _end(self) -> None:
        process, self._process, self._pipes = self._process, None, None
        if process is None:
            return
        process.kill()
        with suppress(subprocess.TimeoutExpired):
            process.wait(EXIT_WITHIN_S)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def _follow_on(self) -> None:
        with self._changed:
            if self._follower is None and not self._stopped:
                self._follower = Thread(target=self._keep_following, name="search-follower", daemon=True)
                self._follower.start()

    def _keep_following(self) -> None:
        """Until stopped, or until nobody has searched for so long that the process may rest."""
        while True:
            with self._changed:
                if not self._behind and not self._stopped:
                    self._changed.wait(REST_S)
                if self._stopped:
                    return
                behind, self._behind = self._behind, False
            if monotonic() - self._asked_s >= REST_S:
                with self._turn:
                    self._end()
                with self._changed:
                    self._follower = None
                return
            if behind:
                self._catch_up()

    def _catch_up(self) -> None:
        try:
            while self.follow().left and not self._stopped:
                pass
        except SearchError:
            # It is logged; the next certificate or search tries again.
            return


def _given(value: _Kind | None) -> _Kind:
    if value is None:
        raise SearchUnavailableError("the search process gave another answer than was asked for")
    return value
