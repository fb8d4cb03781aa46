"""How much of its resources a node gives a peer: by the newest epoch's record, never by a running round."""

from __future__ import annotations

from protocol.epochs.known import Epochs
from protocol.epochs.record import REPUTATION_START_PPM
from protocol.epochs.view import Epoch

SHARE_MIN = 0.25
"""Of everybody, newcomers, the exposed and strangers too: many times what a round takes, so all can work."""
FULL_FROM_PPM = REPUTATION_START_PPM
"""Reputation of a full share: what genesis gives its own, so that a fresh network holds nobody back."""


def share_of(epoch: Epoch, key: bytes) -> float:
    """The part of a peer's budgets that a key is granted, SHARE_MIN to 1.

    Validators have all of it, encoders the more the better reputed they are, up to FULL_FROM_PPM.
    """
    if key in epoch.validators:
        return 1.0
    state = epoch.encoders.get(key)
    earned_ppm = 0 if state is None else min(state.reputation_ppm, FULL_FROM_PPM)
    return SHARE_MIN + (1.0 - SHARE_MIN) * earned_ppm / FULL_FROM_PPM


def share_now(epochs: Epochs, key: bytes) -> float:
    """The same by the newest record known."""
    return share_of(epochs.newest, key)
