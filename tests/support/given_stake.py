"""Stories in which stake changes hands."""

from __future__ import annotations

from typing import Any

from protocol.epochs.stakes import TRANSIT_PARTS
from protocol.messages import StakeTransfer
from protocol.statement import Statement
from tests.support.records import GENESIS, VALIDATORS, Story, newcomer, transfer

STRANGERS = sorted(newcomer(number) for number in range(4))
STAKE = 100
"""Of each validator of genesis."""
PART = GENESIS.total_stake // TRANSIT_PARTS
"""As much as may be on its way at a time."""


def told_with(*transfers: Statement[StakeTransfer], evidence: Any = ()) -> Story:
    """Epoch 1, whose record took up what was made in epoch 0."""
    told = Story()
    told.go_on(told.known(transfers=transfers, evidence=evidence))
    return told


def joined(amount: int = PART) -> Story:
    """Epoch 2, in which a stranger validates."""
    told = told_with(transfer(VALIDATORS[0], STRANGERS[0], amount, 0))
    told.go_on()
    return told
