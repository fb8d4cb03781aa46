"""The model's side of an encoder: one wave at a time, with the memory of a round its strategy may look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import structlog
import trio

from node.clock import now_ms
from node.encoders.encoder import EncoderError, View
from node.encoders.strategy import AnswerStrategy, WaveAnswer
from protocol.modalities import TEXT, Modality
from protocol.schedule import ShardRound

log = structlog.get_logger(__name__)


class Answering:
    """Answers waves with a strategy, in a thread. Remembers the rounds it is not told to forget."""

    def __init__(self, strategy: AnswerStrategy, wave_deadline_ms: int, modality: Modality) -> None:
        self._strategy = strategy
        self._is_text = modality is TEXT
        self._wave_deadline_ms = wave_deadline_ms
        self._history: dict[ShardRound, dict[int, WaveAnswer]] = {}
        self._model = trio.CapacityLimiter(1)  # one wave at a time: the model is not asked to be thread-safe

    def forget_before(self, round_: int) -> None:
        """Drop what was answered in rounds that are over."""
        for at in [at for at in self._history if at.round < round_]:
            del self._history[at]

    async def answer(self, at: ShardRound, wave: int, views: Sequence[bytes]) -> bytes:
        """Little-endian float32 [views, 1024]; nothing when the model was busy until the wave was over."""
        began_ms = now_ms()
        asked: tuple[View, ...] = tuple(view.decode() if self._is_text else view for view in views)
        history = self._history.setdefault(at, {})
        async with self._model:
            waited_ms = now_ms() - began_ms
            if waited_ms > self._wave_deadline_ms:
                # Embedding for nobody would make it miss the next round too.
                log.warning("wave.skipped", round=at.round, wave=wave, waited_ms=waited_ms)
                return b""
            try:
                answers = await trio.to_thread.run_sync(
                    self._strategy.answer,
                    wave,
                    asked,
                    dict(history),
                    # A slow model must not hold up the end of the node.
                    abandon_on_cancel=True,  # type: ignore[call-arg]  # newer than the stubs libp2p installs
                )
            except EncoderError as error:
                log.warning("wave.unanswered", round=at.round, wave=wave, reason=str(error))
                return b""
        data = np.ascontiguousarray(answers, dtype="<f4")
        history[wave] = WaveAnswer(asked, data)
        delay_ms = self._strategy.delay_after_deadline_ms
        if delay_ms is not None:
            due_ms = began_ms + self._wave_deadline_ms + delay_ms
            await trio.sleep(max(0, due_ms - now_ms()) / 1000)
        withheld = int((~np.isfinite(data).all(axis=1)).sum())
        log.info(
            "wave.encoded",
            round=at.round,
            wave=wave,
            views=len(asked),
            withheld=withheld,
            elapsed_ms=now_ms() - began_ms,
        )
        return data.tobytes()
