"""An encoder's model follows its network: when an epoch begins its map is refitted to the newest pairs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

import structlog
import trio

from node.encoders.encoder import EncoderError
from node.encoders.refit import PAIRS_MIN
from node.model_process.wire import Refit, RefitProgress
from node.pairs import PAIRS_MAX, Pairs

STEP_S: Final = 0.2
"""The longest a wave waits for a step, and a batch of eight views."""
PAUSE_S: Final = 0.05
"""Between two steps, so that a wave that waits comes first."""
EPOCH_SHARE: Final = 0.5
"""Part of an epoch a refit may take; what is embedded by then is fitted to, if it is enough."""
FIT_WITHIN_S: Final = 300.0
"""Beyond that, for the last step: the fit itself."""

Step: TypeAlias = Callable[[Refit], RefitProgress]

log = structlog.get_logger(__name__)


class Refitting:
    """Refits in the model's process, a step at a time: a wave waits for STEP_S at most."""

    def __init__(self, folder: Path, pairs: Pairs, step: Step, epoch_s: float) -> None:
        """`folder` is where the pairs lie; an epoch lasts `epoch_s`."""
        self._folder = folder
        self._pairs = pairs
        self._step = step
        self._within_s = EPOCH_SHARE * epoch_s
        self._begun: int | None = None
        self._wake = trio.Event()

    def begin(self, epoch: int) -> None:
        """An epoch has begun."""
        self._begun = epoch
        self._wake.set()

    async def run(self) -> None:
        """Refit once for each epoch that begins; one that begins meanwhile waits."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            count = await trio.to_thread.run_sync(len, self._pairs)
            if count < PAIRS_MIN:
                log.info("model.not_aligned", epoch=self._begun, reason=f"{count} of {PAIRS_MIN} pairs yet")
                continue
            try:
                await self._refit(self._begun)
            except EncoderError as error:
                log.info("model.not_aligned", epoch=self._begun, reason=str(error))

    async def _refit(self, epoch: int | None) -> None:
        began_s = trio.current_time()
        begins = True
        while True:
            took_s = trio.current_time() - began_s
            if took_s > self._within_s + FIT_WITHIN_S:
                raise EncoderError(f"no map was fitted within {took_s:.0f} s: give the model more --threads")
            is_last = took_s > self._within_s
            asked = Refit(str(self._folder), PAIRS_MAX, STEP_S, begins, is_last)
            far = await trio.to_thread.run_sync(self._step, asked, abandon_on_cancel=True)  # type: ignore[call-arg]
            if far.fitted is not None:
                break
            if is_last and far.done < min(far.total, PAIRS_MIN):
                raise EncoderError(f"only {far.done} of {far.total} items were embedded in {took_s:.0f} s")
            begins = False
            await trio.sleep(PAUSE_S)
        found = far.fitted
        log.info(
            "model.aligned",
            epoch=epoch,
            taken=found.is_taken,
            agreement_before=round(found.before, 4),
            agreement_after=round(found.after, 4),
            pairs=found.pairs,
            elapsed_ms=int(1000 * (trio.current_time() - began_s)),
        )
