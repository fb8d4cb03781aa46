"""Votes of certificates with the stake behind them."""

from __future__ import annotations

from collections.abc import Sequence

from node.api.models.reports import Vote
from protocol.epochs.view import Epoch
from protocol.messages import AttestationRef


def votes_told(epoch: Epoch | None, votes: Sequence[AttestationRef]) -> tuple[Vote, ...]:
    """Votes as the API tells them; of validators of `epoch`, None where that is not here."""
    return tuple(
        Vote(
            validator=vote.validator.hex(),
            stake=None if epoch is None else _stake(epoch, vote.validator),
            signature=vote.signature.hex(),
        )
        for vote in votes
    )


def stake_of(epoch: Epoch | None, keys: Sequence[bytes]) -> int | None:
    """Their stake together, None where the epoch is not here."""
    return None if epoch is None else sum(_stake(epoch, key) for key in keys)


def _stake(epoch: Epoch, key: bytes) -> int:
    member = epoch.validators.get(key)
    return 0 if member is None else member.stake
