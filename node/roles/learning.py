"""An encoder's model learns from its network between rounds, off the path of the waves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

import structlog
import trio

from node.encoders.encoder import EncoderError
from node.model_process.wire import Learn, LearnProgress
from node.pairs import Pairs
from node.store.errors import StoreError

STEP_S: Final = 0.2
"""The longest a wave waits for a step, and a batch of 64 items."""
PAUSE_S: Final = 0.05
"""Between two steps, so that a wave that waits comes first."""
LOOK_EVERY_S: Final = 1.0
LESSON_SLOTS: Final = 0.75
"""What a lesson may take, in slots; what has been learnt by then is weighed."""
ENDING_S: Final = 60.0
"""Beyond that, for the weighing itself."""

LearnStep: TypeAlias = Callable[[Learn], LearnProgress]

log = structlog.get_logger(__name__)


class Learning:
    """One lesson whenever pairs of a newer round are here."""

    def __init__(self, folder: Path, pairs: Pairs, step: LearnStep, slot_s: float) -> None:
        """`folder` is where the pairs lie, for the model's process to read."""
        self._folder = folder
        self._pairs = pairs
        self._step = step
        self._within_s = LESSON_SLOTS * slot_s

    async def run(self) -> None:
        """Look for new pairs, and learn."""
        learnt_from = -1
        while True:
            await trio.sleep(LOOK_EVERY_S)
            try:
                newest = max(await trio.to_thread.run_sync(self._pairs.rounds), default=-1)
                if newest > learnt_from:
                    await self._learn(newest)
                    learnt_from = newest
            except (EncoderError, StoreError) as error:
                log.warning("model.not_learnt", reason=str(error))
                await trio.sleep(self._within_s)

    async def _learn(self, newest: int) -> None:
        began_s = trio.current_time()
        found = ends_s = None
        while found is None:
            late_s = 0.0 if ends_s is None else trio.current_time() - ends_s
            if late_s > ENDING_S:
                raise EncoderError(f"a lesson did not end for {late_s:.0f} s: give the model more --threads")
            asked = Learn(str(self._folder), STEP_S, late_s > 0)
            far = await trio.to_thread.run_sync(self._step, asked, abandon_on_cancel=True)  # type: ignore[call-arg]
            found = far.learnt
            if ends_s is None:
                # From here: the first lesson of a process imports for seconds before it can begin.
                ends_s = trio.current_time() + self._within_s
            await trio.sleep(PAUSE_S)
        if not found.steps:
            reason = f"no step: its time was over, or {found.pairs} pairs are too few"
            log.info("model.not_learnt", round=newest, reason=reason)
            return
        log.info(
            "model.learnt",
            round=newest,
            taken=found.is_taken,
            agreement_before=round(found.before, 4),
            agreement_after=round(found.after, 4),
            pairs=found.pairs,
            steps=found.steps,
            elapsed_ms=int(1000 * (trio.current_time() - began_s)),
        )
