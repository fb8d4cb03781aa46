"""A story of epochs in which everything happens once."""

from __future__ import annotations

from protocol.epochs.view import PPM
from protocol.schedule import (
    ShardRound,
)
from tests.support.records import (
    ENCODERS,
    VALIDATORS,
    Row,
    Story,
    conviction,
    leaving,
    newcomer,
    registration,
)

NEW = sorted(newcomer(number) for number in range(3))


def weak(at: ShardRound, dealer: bytes, key: bytes) -> Row:
    """Scores that differ by round and encoder; one encoder is silent in every third round."""
    shown = not (key == ENCODERS[0] and at.round % 3 == 0)
    score = (at.round * 7_919 + key[0] * 3_001) % PPM
    return shown, score if shown else 0, 100_000 + at.round if shown else 0


def eventful() -> Story:
    """Six epochs in which everything happens once."""
    told = Story(row=weak)
    told.go_on()
    told.go_on(told.known([registration(key, 1) for key in NEW[:2]]))
    told.go_on(told.known(exits=[leaving(ENCODERS[1], 2)]))
    told.go_on(told.known(evidence=[conviction(ENCODERS[2], 2), conviction(VALIDATORS[3], 1)]))
    told.go_on(told.known([registration(ENCODERS[1], 4)], skip=[1, 2]))
    told.go_on()
    return told
