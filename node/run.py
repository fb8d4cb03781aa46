"""Entry points of `deltamesh run`: load and check what is on disk, run the role, stop in order."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import trio

from config.datadir import DataDir
from config.errors import ConfigError
from config.genesis import load_genesis
from config.settings import Settings
from node.clock import now_ms
from node.joining import prepared_or_refused
from node.keys import load_key
from node.logs import set_up_logging
from node.membership import membership_faults
from node.memory import give_back_free_memory
from node.roles.base import Boundary, Node, remove_status
from node.stopping import STOP_WITHIN_S, first_signal

if TYPE_CHECKING:
    from node.model_process.client import OnAnchors

LEARNT_FOLDER = "learnt"
"""In an encoder's data directory: the weights its model has learnt between rounds."""

ANCHORS_EVERY_MS = 5_000

log = structlog.get_logger(__name__)


def _carry_on(_: str) -> None:
    """Nothing happens at a boundary."""


def run_validator(settings: Settings, at_boundary: Boundary = _carry_on) -> None:
    """Run a validator until it is told to stop. Raises ConfigError, StoreError, SignerError, NetworkError."""
    from node.roles.validator import run_validator_node

    directory = DataDir.open(settings.home, settings.network)
    with directory.lock():
        node = _load(settings, directory, at_boundary)
        if node.me not in node.genesis.validators:
            prepared_or_refused(directory, node.key, node.genesis)
        faults = membership_faults(directory, node.key, node.genesis)
        if faults:
            raise ConfigError("; ".join(faults))
        _run(node, lambda stop: run_validator_node(node, stop))


def run_encoder(
    settings: Settings,
    cheat: str | None = None,
    at_boundary: Boundary = _carry_on,
    loading: AbstractContextManager[OnAnchors] | None = None,
) -> None:
    """Run an encoder until it is told to stop; `cheat` names a cheater's strategy, for test networks.

    `loading` is entered while the model loads, and told (embedded, all) while it is aligned; without it the
    log is. Raises EncoderError where the model cannot be loaded.
    """
    from node.encoders.alignment_store import FOLDER_NAME
    from node.encoders.cheaters import load_strategy
    from node.encoders.strategy import AnswerStrategy
    from node.model_process.client import ModelProcess, ModelSettings
    from node.roles.encoder import run_encoder_node

    directory = DataDir.open(settings.home, settings.network)
    with directory.lock():
        node = _load(settings, directory, at_boundary)
        if node.me in node.genesis.validators:
            raise ConfigError(
                f"the key {node.key.fingerprint} is a validator of this network: run it with "
                "`deltamesh run validator`, and give the encoder a key of its own, with another --home"
            )

        learnt = None if cheat is not None else learnt_folder(settings, directory)
        parameters = node.genesis.parameters
        model = ModelSettings(
            settings.model,
            parameters.reference_encoder,
            directory.root / FOLDER_NAME,
            settings.threads,
            parameters.wave_deadline_ms / 1000,
            parameters.modality,
            settings.align,
            learnt,
        )
        log_anchors = AnchorLog()
        with ModelProcess(model, log_anchors) as encoder:

            def load() -> AnswerStrategy:
                began_ms = now_ms()
                with loading or nullcontext(log_anchors) as on_anchors:
                    encoder.start(on_anchors)
                log.info("model.loaded", model=settings.model, elapsed_ms=now_ms() - began_ms)
                return load_strategy(
                    cheat or "honest", encoder, int.from_bytes(node.me[:4], "big"), parameters.modality
                )

            # Who cheats answers what it likes, whatever map its model has.
            follows = cheat is None and learnt is None and settings.align == "consensus"
            refit = encoder.refit if follows else None
            learn = None if learnt is None else encoder.learn
            _run(node, lambda stop: run_encoder_node(node, load, stop, refit, learn))


def learnt_folder(settings: Settings, directory: DataDir) -> Path | None:
    """Where an encoder keeps what its model learns; None where it is not to learn.

    Raises ConfigError for a model that cannot.
    """
    from node.encoders.models import TRAINED

    if not settings.learn:
        return None
    if not settings.model.startswith(TRAINED):
        raise ConfigError(
            f"{settings.model} cannot learn: take --model trained:FOLDER, made by `deltamesh encoder train`, "
            "or leave out --learn"
        )
    return directory.root / LEARNT_FOLDER


class AnchorLog:
    """Logs how far alignment is, at its end and every few seconds: a fast model is soon through."""

    def __init__(self, clock_ms: Callable[[], int] = now_ms) -> None:
        self._clock_ms = clock_ms
        self._told_ms = clock_ms()

    def __call__(self, done: int, total: int) -> None:
        if done < total and self._clock_ms() - self._told_ms < ANCHORS_EVERY_MS:
            return
        self._told_ms = self._clock_ms()
        log.info("model.aligning", done=done, anchors=total)


def _load(settings: Settings, directory: DataDir, at_boundary: Boundary) -> Node:
    give_back_free_memory()
    set_up_logging(directory.logs, settings.log_level, settings.log_format)
    genesis = load_genesis(directory.genesis)
    return Node(settings, directory, genesis, load_key(directory.key), at_boundary)


def _run(node: Node, role: Callable[[trio.Event], Awaitable[None]]) -> None:
    log.info("node.starting", network=node.settings.network, key=node.key.fingerprint, pid=os.getpid())
    try:
        trio.run(_until_stopped, role)
    except BaseExceptionGroup as group:
        raise _first_error(group) from group
    finally:
        remove_status(node.directory)
    log.info("node.stopped")


async def _until_stopped(role: Callable[[trio.Event], Awaitable[None]]) -> None:
    """First signal: stop in order within STOP_WITHIN_S, or be ended when overdue. Second: at once."""
    stop = trio.Event()
    token = trio.lowlevel.current_trio_token()
    async with trio.open_nursery() as nursery:

        def stopping(number: int) -> None:
            log.info("node.stopping", signal=signal.Signals(number).name)
            stop.set()
            nursery.cancel_scope.deadline = trio.current_time() + STOP_WITHIN_S

        with first_signal(lambda number: token.run_sync_soon(stopping, number)):
            await role(stop)
        nursery.cancel_scope.cancel()


def _first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error a person should read, out of a nest of groups."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        ours = [e for e in error.exceptions if not isinstance(e, trio.Cancelled)]
        error = (ours or error.exceptions)[0]
    return error
