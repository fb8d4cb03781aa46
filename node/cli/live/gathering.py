"""Gathers one picture after the other; what of a round can change no more is read once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from node.cli.errors import CommandError
from node.cli.live.picture import EncoderGlance, Picture, Resources
from node.cli.round_view import RoundDetail
from node.cli.sources import Source
from node.clock import now_ms
from node.status import Liveness, NodeStatus
from node.store import StoreError
from protocol.genesis import Genesis
from protocol.rounds.attester import EXPIRY_SLOTS
from protocol.schedule import round_at, slot_start_ms

ROUNDS_KEPT: Final = 20
ROUNDS_ASKED_EACH_MAX: Final = 8
"""The first pictures are not held up by all the past: some of it comes with each."""

Status = Callable[[], tuple[NodeStatus | None, Liveness]]


class Gathering:
    """What happens at one node, from look to look."""

    def __init__(self, source: Source, status: Status, resources: Callable[[NodeStatus | None], Resources]):
        self._source = source
        self._status = status
        self._resources = resources
        self._genesis: Genesis | None = None
        self._settled: dict[int, tuple[RoundDetail, ...]] = {}
        self._before: tuple[int, Mapping[str, int]] | None = None

    def picture(self) -> Picture:
        """How it is now. Raises ClientError, StatusError, CommandError."""
        if self._genesis is None:
            self._genesis = self._source.genesis()
        genesis = self._genesis
        status, alive = self._status()
        at_ms = now_ms()
        rounds = self._rounds(self._newest(status, alive, round_at(genesis, at_ms)))
        return Picture(
            at_ms=at_ms,
            status=status,
            state=alive.value,
            slot_ms=genesis.parameters.slot_ms,
            genesis_ms=slot_start_ms(genesis, 0),
            rounds=rounds,
            encoders=encoders_of(rounds),
            resources=self._resources(status),
            rates=self._rates(at_ms, status),
        )

    def _newest(self, status: NodeStatus | None, alive: Liveness, by_clock: int) -> int:
        """The slot that is open; of a node that does not run the newest round it knows."""
        if status is not None and alive is not Liveness.STOPPED:
            return min(status.round, by_clock)
        known = self._source.rounds(1)
        return known[0].round if known else by_clock

    def _rounds(self, newest: int) -> tuple[RoundDetail, ...]:
        oldest = max(0, newest - ROUNDS_KEPT + 1)
        self._settled = {number: found for number, found in self._settled.items() if number >= oldest}
        rounds: list[RoundDetail] = []
        asked = 0
        for number in range(newest, oldest - 1, -1):
            found = self._settled.get(number)
            if found is None:
                if asked == ROUNDS_ASKED_EACH_MAX:
                    break
                asked += 1
                found = self._round(number)
                if number <= newest - EXPIRY_SLOTS or (found and all(map(_is_settled, found))):
                    self._settled[number] = found
            rounds += found
        return tuple(rounds)

    def _round(self, number: int) -> tuple[RoundDetail, ...]:
        from node.client import NotFoundError

        try:
            return tuple(self._source.round(number))
        except (CommandError, NotFoundError, StoreError):
            # Not begun, not heard of, or a store that is busy: the next look may find it.
            return ()

    def _rates(self, at_ms: int, status: NodeStatus | None) -> dict[str, float]:
        counters = {} if status is None else status.counters
        before, self._before = self._before, (at_ms, dict(counters))
        if before is None or at_ms <= before[0]:
            return {}
        seconds = (at_ms - before[0]) / 1_000
        # A counter that has shrunk belongs to a node that was started again.
        return {
            name: max(0, count - before[1][name]) / seconds
            for name, count in counters.items()
            if name in before[1]
        }


def encoders_of(rounds: Sequence[RoundDetail]) -> tuple[EncoderGlance, ...]:
    """The encoders scored in these shard-rounds (newest first), the best first."""
    scores: dict[bytes, list[float]] = {}
    weights: dict[bytes, float] = {}
    for detail in reversed(rounds):
        for one in detail.scores:
            scores.setdefault(one.encoder, []).append(one.score)
            weights[one.encoder] = one.weight
    found = [
        EncoderGlance(key, sum(history) / len(history), weights[key], tuple(history))
        for key, history in scores.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.score, one.key)))


def _is_settled(detail: RoundDetail) -> bool:
    # Scores are written a moment after the certificate.
    return detail.summary.state == "certified" and bool(detail.scores)
