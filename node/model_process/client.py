"""The node's end of the model's process: an encoder like any other, whose model cannot take the node down."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from node.child_process import child_command, child_environment
from node.encoders.encoder import EncoderError, View
from node.model_process.slab import Slab
from node.model_process.wire import (
    Encode,
    Learn,
    LearnProgress,
    Refit,
    RefitProgress,
    Request,
    Response,
    Setup,
)
from node.pipe_frames import ChildPipes

LOAD_SILENT_S: Final = 600.0
"""A model that says nothing for longer while it loads hangs."""
EXIT_WITHIN_S: Final = 2.0
HANG_AFTER_S: Final = 30.0
"""So long beyond its deadline, and the process is ended: one view takes it for ever."""
_COMMAND: Final = child_command("node.model_process")
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Response)

OnAnchors = Callable[[int, int], None]
"""Told (embedded, all) while a model is aligned."""


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Which model, and how it runs."""

    model: str
    reference: str
    cache_dir: Path | None = None
    threads: int = 1
    answer_within_s: float = 60.0
    modality: str = "text"
    """What the network embeds."""
    target: str = "reference"
    """What it is aligned to: reference or consensus."""
    learnt: Path | None = None
    """Where it keeps what it learns between rounds; None for a model that does not learn."""


def thread_environment(threads: int) -> dict[str, str]:
    """What keeps a model's libraries to so many threads; tokenizers would take every core."""
    return {
        "OMP_NUM_THREADS": str(threads),
        "RAYON_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false",
    }


class ModelProcess:
    """An encoder. The process is started by `start`, and again by the wave after one it died in."""

    def __init__(self, settings: ModelSettings, on_anchors: OnAnchors = lambda _, __: None) -> None:
        self._settings = settings
        self._on_anchors = on_anchors
        self._process: subprocess.Popen[bytes] | None = None
        self._pipes: ChildPipes | None = None
        self._slab = Slab(-1)
        self._lock = Lock()

    @property
    def name(self) -> str:
        """The name it is loaded by."""
        return self._settings.model

    @property
    def pid(self) -> int:
        """Of the process; 0 while none runs."""
        return 0 if self._process is None else self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, on_anchors: OnAnchors | None = None) -> None:
        """Start the process and wait until its model is loaded and aligned. Raises EncoderError.

        `on_anchors` is told of this start instead of who is told of a later one.
        """
        with self._lock:
            self._started(on_anchors or self._on_anchors)

    def encode(self, views: Sequence[View]) -> NDArray[np.float32]:
        """[n, DIMENSIONS] float32; NaN where the model returned no numbers. Raises EncoderError."""
        with self._lock:
            return self._encoded(views).copy()

    def lend(self, views: Sequence[View]) -> NDArray[np.float32]:
        """The same where the process has written it, good until the next call. Raises EncoderError."""
        with self._lock:
            return self._encoded(views)

    def refit(self, asked: Refit) -> RefitProgress:
        """One step of fitting the model's map to the network's pairs. Raises EncoderError."""
        with self._lock:
            response = self._asked(self._started(self._on_anchors), asked, asked.within_s + HANG_AFTER_S)
        if response.refit is None:
            raise EncoderError(response.error or f"{self.name} gave no answer")
        return response.refit

    def learn(self, asked: Learn) -> LearnProgress:
        """One step of a lesson from the network's pairs. Raises EncoderError."""
        with self._lock:
            response = self._asked(self._started(self._on_anchors), asked, asked.within_s + HANG_AFTER_S)
        if response.learn is None:
            raise EncoderError(response.error or f"{self.name} gave no answer")
        return response.learn

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        self._slab.close()
        process, self._process, self._pipes = self._process, None, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def _started(self, on_anchors: OnAnchors) -> ChildPipes:
        # To ask the system for its exit status takes 20 us, of a batch's 1,400.
        if self._pipes is not None and self._pipes.is_idle():
            return self._pipes
        self.stop()
        chosen = self._settings
        self._slab = Slab.new()
        try:
            process = subprocess.Popen(
                _COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=child_environment(thread_environment(chosen.threads)),
                bufsize=0,
                pass_fds=(self._slab.descriptor,),
            )
        except OSError as error:
            raise EncoderError(f"the process of {self.name} cannot be started: {error}") from error
        self._process, self._pipes = process, (pipes := ChildPipes(process))
        cache_dir = None if chosen.cache_dir is None else str(chosen.cache_dir)
        setup = Setup(
            chosen.model,
            chosen.reference,
            chosen.modality,
            cache_dir,
            chosen.threads,
            chosen.answer_within_s,
            self._slab.descriptor,
            chosen.target,
            None if chosen.learnt is None else str(chosen.learnt),
        )
        response = self._asked(pipes, setup, LOAD_SILENT_S)
        while response.anchors is not None:
            on_anchors(*response.anchors)
            response = self._heard(pipes, LOAD_SILENT_S)
        if response.error is not None:
            self.stop()
            raise EncoderError(response.error)
        return pipes

    def _encoded(self, views: Sequence[View]) -> NDArray[np.float32]:
        pipes = self._started(self._on_anchors)
        rows = self._slab.rows(len(views))  # refused here, where no process has to hear of it
        response = self._asked(pipes, Encode(views), self._settings.answer_within_s + HANG_AFTER_S)
        if response.rows is None:
            raise EncoderError(response.error or f"{self.name} gave no answer")
        if response.rows != len(views):
            raise EncoderError(
                f"the process of {self.name} answered {response.rows} rows for {len(views)} views"
            )
        return rows

    def _asked(self, pipes: ChildPipes, frame: Setup | Request, within_s: float) -> Response:
        try:
            pipes.send(_ENCODER.encode(frame), within_s)
        except TimeoutError:
            raise self._hung(within_s) from None
        except OSError:
            raise self._died() from None
        return self._heard(pipes, within_s)

    def _heard(self, pipes: ChildPipes, within_s: float) -> Response:
        try:
            return _DECODER.decode(pipes.receive(within_s))
        except TimeoutError:
            raise self._hung(within_s) from None
        except (EOFError, OSError, msgspec.DecodeError):
            raise self._died() from None

    def _hung(self, within_s: float) -> EncoderError:
        self.stop()
        return EncoderError(
            f"{self.name} was silent for {within_s:.0f} s and was ended; the next wave starts it again"
        )

    def _died(self) -> EncoderError:
        process, code = self._process, None
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(EXIT_WITHIN_S)  # its pipe closes a moment before it has ended
        self.stop()
        how = "" if code is None else f" (exit status {code})"
        return EncoderError(
            f"the process of {self.name} died{how}: see what it printed; the next wave starts it again"
        )
