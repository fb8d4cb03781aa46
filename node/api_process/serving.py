"""What the API process does: serves HTTP in a thread, and hears the node in this one."""

from __future__ import annotations

import os
import socket
from typing import BinaryIO, Final

import msgspec
import structlog

from config.datadir import DataDir
from config.settings import Settings
from node.api.app import make_guarded_app
from node.api.events import EventHub
from node.api.server import STOP_WITHIN_S, ServerThread
from node.api.service import open_service
from node.api_process.wire import FRAME_BYTES_MAX, STOP, Measured, Said, Setup, Tidings, Word
from node.logs import set_up_logging
from node.metrics.validator import ValidatorMetrics
from node.pipe_frames import PREFIX, read_frame
from node.priority import give_way
from node.status import NodeStatus
from protocol.codec import decode, encode
from protocol.genesis import Genesis

LOOK_EVERY_S: Final = 1.0
"""While it starts it reads nothing: whether the node is there it sees by its number."""
OK: Final = 0
FAILED: Final = 1

log = structlog.get_logger(__name__)


class Heard:
    """The newest of what the node tells, and what it is answered. From any thread."""

    def __init__(self, sink: BinaryIO, setup: Setup) -> None:
        self._sink = sink.fileno()
        os.set_blocking(self._sink, False)
        self._status = setup.first.status
        self._measured = setup.first.measured

    def take(self, tidings: Tidings) -> None:
        """Note the newest."""
        self._status = tidings.status or self._status
        self._measured = tidings.measured or self._measured

    def status(self) -> NodeStatus | None:
        """The newest status."""
        return self._status

    def measured(self) -> Measured | None:
        """What the node counts, at most a second old while its loop runs."""
        return self._measured

    def say(self, word: Word) -> None:
        """Say a word; where the node has so many to read that the pipe is full, it knows already."""
        frame = encode(Said(word))
        try:
            # Shorter than what a pipe takes whole or not at all.
            os.write(self._sink, PREFIX.pack(len(frame)) + frame)
        except BlockingIOError:
            return
        except BrokenPipeError:
            return  # the node is gone, which ends this process too


def serve(first: bytes, source: BinaryIO, sink: BinaryIO) -> int:
    """Serve what the first frame says until the node says to stop; the exit code. Raises CodecError."""
    setup = decode(first, Setup, size_bytes_max=FRAME_BYTES_MAX)
    # As Python's values: a path of JSON is not among what the settings take.
    settings = Settings.model_validate(msgspec.json.decode(setup.settings))
    directory = DataDir.open(settings.home, settings.network)
    set_up_logging(directory.logs, settings.log_level, settings.log_format, rotates=False)
    try:
        return _serve(setup, settings, directory, source, sink)
    except Exception:  # the node starts another, and its log says what became of this one
        log.exception("api.failed")
        return FAILED


def _serve(setup: Setup, settings: Settings, directory: DataDir, source: BinaryIO, sink: BinaryIO) -> int:
    heard = Heard(sink, setup)
    events = EventHub(setup.last_id)
    events.take(setup.first.events)
    genesis = Genesis.from_bytes(setup.genesis)
    listening = socket.socket(fileno=setup.listening_fd)
    with open_service(
        genesis, settings, directory, events, heard.status, lambda: heard.say(Word.SUBMITTED)
    ) as service:
        metrics = ValidatorMetrics(heard.measured, setup.node_pid)
        server = ServerThread(
            lambda: make_guarded_app(service, metrics),
            listening,
            events,
            beat=lambda: heard.say(Word.ALIVE),
        )
        server.start()
        while not server.started.wait(LOOK_EVERY_S):
            if os.getppid() != setup.node_pid:
                os._exit(FAILED)
        if server.fault is not None:
            return FAILED
        # Not before: on a busy machine it would take minutes to start.
        give_way()
        heard.say(Word.READY)
        while (frame := read_frame(source, FRAME_BYTES_MAX)) != STOP:
            if frame is None:
                # The node is gone, perhaps to start again on this address: nobody is to find it taken.
                os._exit(FAILED)
            tidings = decode(frame, Tidings, size_bytes_max=FRAME_BYTES_MAX)
            heard.take(tidings)
            events.take(tidings.events)
        server.stop()
        server.join(STOP_WITHIN_S + 0.5)
    return OK
