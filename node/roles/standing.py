"""Says in the log whether this validator has stake, waits for it, or has lost it."""

from __future__ import annotations

from enum import StrEnum

import structlog
import trio

from protocol.epochs.known import Epochs
from protocol.epochs.view import Epoch

LOOK_EVERY_S = 2.0

log = structlog.get_logger(__name__)


class Standing(StrEnum):
    """What the newest record says of a validator's key."""

    STRANGER = "waiting for stake"
    """No record names it. Left when one takes up a transfer to it."""
    EXPECTED = "stake is on its way"
    """A transfer to it arrives with the next record."""
    VALIDATING = "running"
    """It has stake."""
    CONVICTED = "convicted"
    """Evidence took its stake; there is no way back for this key."""


def standing_of(epoch: Epoch, key: bytes) -> Standing:
    """The standing of a key in an epoch."""
    state = epoch.states.get(key)
    if state is not None:
        return Standing.VALIDATING if state.stake else Standing.CONVICTED
    return Standing.EXPECTED if epoch.is_validating(key) else Standing.STRANGER


async def watch_standing(epochs: Epochs, key: bytes) -> None:
    """Log every change; never returns."""
    last: Standing | None = None
    while True:
        epoch = epochs.newest
        standing = standing_of(epoch, key)
        if standing is not last:
            last = standing
            log.info(
                "validator.standing",
                epoch=epoch.number,
                standing=standing.value,
                stake=epoch.validators[key].stake if standing is Standing.VALIDATING else 0,
            )
        await trio.sleep(LOOK_EVERY_S)
