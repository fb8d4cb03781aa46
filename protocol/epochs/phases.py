"""The phases of one slot in agreeing on a record, as a table (see protocol/rounds/phases.py)."""

from __future__ import annotations

from enum import Enum


class AgreementPhase(Enum):
    """Where a validator is with a slot's proposal."""

    WAITING = "waiting"
    """No proposal yet."""
    CHECKING = "checking"
    """Its inputs are being fetched and checked."""
    READY = "ready"
    """It prevoted. Left by a quorum of prevotes."""
    STAYS = "stays"
    """Final for this slot: it precommitted."""
    REFUSED = "refused"
    """Final for this slot: the inputs do not hold, or it stays with another record."""


class AgreementMove(Enum):
    """What moves a validator."""

    PROPOSAL = "proposal"
    READY = "ready"
    STAY = "stay"
    REFUSE = "refuse"


A, M = AgreementPhase, AgreementMove
AGREEMENT_TABLE: dict[tuple[AgreementPhase, AgreementMove], AgreementPhase] = {
    (A.WAITING, M.PROPOSAL): A.CHECKING,
    (A.WAITING, M.REFUSE): A.REFUSED,
    (A.CHECKING, M.READY): A.READY,
    (A.CHECKING, M.REFUSE): A.REFUSED,
    (A.READY, M.STAY): A.STAYS,
}
