"""Who may connect: the members of the newest epochs, and a few strangers who may become some."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from protocol.epochs.known import Epochs

GUESTS_MAX = 64
"""Strangers connected at a time; they can register and ask, and nothing they say about rounds counts."""

EPOCHS_AT_WORK = 2
"""A record is known before its epoch begins, while rounds of the epoch before still end."""


def is_validator_of_late(epochs: Epochs, key: bytes) -> bool:
    """Whether a key was or is a validator, or is about to become one."""
    return key in epochs.genesis.validators or epochs.newest.is_validating(key)


def validators_of_late(epochs: Epochs) -> frozenset[bytes]:
    """Everybody who was or is a validator, or is about to become one."""
    newest = epochs.newest
    cards = (card.public_key for card in newest.cards)
    return frozenset(epochs.genesis.validators) | frozenset(newest.states) | frozenset(cards)


def validators_at_work(epochs: Epochs) -> frozenset[bytes]:
    """Who has stake in the newest epoch or one of the EPOCHS_AT_WORK before it, or is about to join."""
    newest = epochs.newest
    known = (epochs.find(newest.number - back) for back in range(1, EPOCHS_AT_WORK + 1))
    with_stake = (key for epoch in (newest, *known) if epoch is not None for key in epoch.validators)
    return frozenset(with_stake) | frozenset(held.to for held in newest.record.transfers)


def is_member_of_late(epochs: Epochs, key: bytes) -> bool:
    """Whether a key is a validator of late, or an encoder of the newest epoch or the one before."""
    return is_validator_of_late(epochs, key) or is_encoder_of_late(epochs, key)


def is_encoder_of_late(epochs: Epochs, key: bytes) -> bool:
    """Whether a key is an encoder of the newest epoch or the one before."""
    newest = epochs.newest
    before = epochs.find(newest.number - 1)
    return key in newest.encoders or (before is not None and key in before.encoders)


class Admission:
    """Says whether a peer that proved its key may stay connected."""

    def __init__(self, epochs: Epochs) -> None:
        self._epochs = epochs
        self.connected: Callable[[], Iterable[bytes]] = tuple
        """Who is connected now."""

    def __call__(self, key: bytes) -> bool:
        """Members always, strangers while there is room for guests."""
        if is_member_of_late(self._epochs, key):
            return True
        guests = sum(not is_member_of_late(self._epochs, other) for other in self.connected())
        return guests < GUESTS_MAX
