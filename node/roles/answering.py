"""The model's side of an encoder: one wave at a time, with the memory of a round its strategy may look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import structlog
import trio

from node.clock import now_ms
from node.encoders.encoder import DIMENSIONS, EncoderError, View
from node.encoders.strategy import AnswerStrategy, WaveAnswer
from protocol.modalities import TEXT, Modality
from protocol.schedule import ShardRound

WAVES_WAITING_MAX: Final = 4
"""Waves that wait while the model has one: of the shards of a round, or of rounds it was too slow for."""

log = structlog.get_logger(__name__)


class Answering:
    """Answers waves with a strategy, in a thread. Remembers the rounds it is not told to forget."""

    def __init__(self, strategy: AnswerStrategy, wave_deadline_ms: int, modality: Modality) -> None:
        self._strategy = strategy
        self._is_text = modality is TEXT
        self._wave_deadline_ms = wave_deadline_ms
        self._history: dict[ShardRound, dict[int, WaveAnswer]] = {}
        self.on_unanswered: Callable[[str], None] = lambda _: None
        """Called with `refused`, `skipped` or `failed` for a wave that gets no answer."""
        self._model = trio.CapacityLimiter(1)  # one wave at a time: the model is not asked to be thread-safe

    def waiting(self) -> int:
        """Waves that wait for the model. From any thread."""
        return self._model.statistics().tasks_waiting

    def forget_before(self, round_: int) -> None:
        """Drop what was answered in rounds that are over."""
        for at in [at for at in self._history if at.round < round_]:
            del self._history[at]

    async def answer(self, at: ShardRound, wave: int, views: Sequence[bytes]) -> bytes:
        """Little-endian float32 [views, 1024]; nothing where the model has not answered in time.

        That is when the wave is over before the model is free, when too many wait already, and when the model
        fails. The log says which.
        """
        began_ms = now_ms()
        waiting = self.waiting()
        if waiting >= WAVES_WAITING_MAX:
            log.warning("wave.refused", round=at.round, shard=at.shard, wave=wave, waiting=waiting)
            self.on_unanswered("refused")
            return b""
        asked: tuple[View, ...] = tuple(view.decode() if self._is_text else view for view in views)
        history = self._history.setdefault(at, {})
        with trio.move_on_after(self._wave_deadline_ms / 1000) as wait:
            await self._model.acquire()
        if wait.cancelled_caught:
            # Embedding for nobody would make it miss the next round too.
            log.warning(
                "wave.skipped", round=at.round, shard=at.shard, wave=wave, waited_ms=now_ms() - began_ms
            )
            self.on_unanswered("skipped")
            return b""
        try:
            answers = await trio.to_thread.run_sync(
                self._answered,
                wave,
                asked,
                dict(history),
                # A slow model must not hold up the end of the node.
                abandon_on_cancel=True,  # type: ignore[call-arg]  # newer than the stubs libp2p installs
            )
        except EncoderError as error:
            log.warning("wave.unanswered", round=at.round, shard=at.shard, wave=wave, reason=str(error))
            self.on_unanswered("failed")
            return b""
        finally:
            self._model.release()
        rows = np.frombuffer(answers, "<f4").reshape(len(asked), DIMENSIONS)
        history[wave] = WaveAnswer(asked, rows)
        delay_ms = self._strategy.delay_after_deadline_ms
        if delay_ms is not None:
            due_ms = began_ms + self._wave_deadline_ms + delay_ms
            await trio.sleep(max(0, due_ms - now_ms()) / 1000)
        withheld = int((~np.isfinite(rows).all(axis=1)).sum())
        log.info(
            "wave.encoded",
            round=at.round,
            shard=at.shard,
            wave=wave,
            views=len(asked),
            withheld=withheld,
            elapsed_ms=now_ms() - began_ms,
        )
        return answers

    def _answered(self, wave: int, views: Sequence[View], history: Mapping[int, WaveAnswer]) -> bytes:
        # Copied at once and looked at afterwards: the rows may still be the model's to change.
        return self._strategy.answer(wave, views, history).astype("<f4", copy=False).tobytes()
