"""Steps of rounds that others deal, read off what their dealers gossip: for those who watch."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from protocol.epochs.known import Epochs
from protocol.messages import Body, Challenge, Lock, Report
from protocol.rounds import effects as fx
from protocol.schedule import ShardRound, shard_of
from protocol.statement import Statement

ROUNDS_MAX: Final = 64
"""Shard-rounds followed; the oldest goes for a new one."""


@dataclass(frozen=True, slots=True)
class _Seen:
    awaited: tuple[bytes, ...]
    """Encoders whom the dealer still waits for."""
    since_ms: int
    """When the last step was heard of here."""


class Watching:
    """Tells the dealer's steps from its statements. How long they took is as this node heard of them."""

    def __init__(self, epochs: Epochs) -> None:
        self._epochs = epochs
        self._seen: OrderedDict[ShardRound, _Seen] = OrderedDict()

    def step(self, statement: Statement[Body], now_ms: int) -> fx.Publish | None:
        """The step that an accepted statement is; None where it is none, or its challenge was not heard."""
        body = statement.body
        if isinstance(body, Challenge):
            shard = tuple(shard_of(self._epochs.of(body.at.epoch), body.at))
            self._move(body.at, _Seen(shard, now_ms))
            views = sum(wave.views for wave in body.waves)
            return fx.Publish(body.at, fx.Step.DEALT, missing=shard, detail=f"{views} views")
        if not isinstance(body, Lock | Report) or (seen := self._seen.get(body.at)) is None:
            return None
        elapsed_ms = max(0, now_ms - seen.since_ms)
        if isinstance(body, Report):
            # The reveals are in it: they are not gossiped.
            self._move(body.at, _Seen(seen.awaited, now_ms))
            return fx.Publish(body.at, fx.Step.REPORTED, elapsed_ms=elapsed_ms)
        answered = tuple(one.encoder for one in body.commits)
        missing = tuple(sorted(set(seen.awaited) - set(answered)))
        self._move(body.at, _Seen(answered, now_ms))
        return fx.Publish(body.at, fx.Step.LOCKED, body.wave, elapsed_ms, answered, missing)

    def _move(self, at: ShardRound, seen: _Seen) -> None:
        self._seen[at] = seen
        while len(self._seen) > ROUNDS_MAX:
            self._seen.popitem(last=False)
