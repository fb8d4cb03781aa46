"""Room for connections: what a node near its limit keeps for those a round cannot do without."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from node.clock import now_ms
from node.epochs.admission import Admission, validators_of_late
from protocol.epochs.known import Epochs
from protocol.neighbours import MEETING_SLOTS, meetings
from protocol.schedule import round_at, shard_of

RELAYED_MAX = 32
"""Encoders that a relay lets in."""


class Room:
    """Says whether a peer that proved its key may stay connected, by what is left.

    Of `connections_max` places a validator keeps one for each validator that is not connected, and as many
    for the encoders of the current shards as there can be of these, at most half of all. Encoders that
    merely stand, and guests, get what is left: refused here they turn to the next validator. On an encoder
    they get `RELAYED_MAX` places.
    """

    def __init__(self, epochs: Epochs, me: bytes, connections_max: int) -> None:
        self._epochs = epochs
        self._me = me
        self._connections_max = connections_max
        self._admission = Admission(epochs)
        self.connected: Callable[[], Iterable[bytes]] = tuple
        """Who is connected now."""
        self._admission.connected = lambda: self.connected()

    def __call__(self, key: bytes) -> bool:
        """Whether there is room for this key."""
        validators = validators_of_late(self._epochs)
        connected = set(self.connected())
        if key in validators or key in connected:
            return True
        left = self._connections_max - len(connected) - len(validators - connected - {self._me})
        if self._me not in validators:
            others = sum(one not in validators for one in connected)
            return others < RELAYED_MAX and left > 0 and self._admission(key)
        kept = self._kept_for_shards()
        if left > kept:
            return self._admission(key)
        met = self._met_now()
        return left > 0 and (key in met or (left > kept - len(met & connected) and self._admission(key)))

    def _kept_for_shards(self) -> int:
        parameters = self._epochs.genesis.parameters
        in_slot = parameters.shards_per_round * parameters.shard_size
        return min(self._connections_max // 2, (MEETING_SLOTS + 2) * in_slot)

    def _met_now(self) -> set[bytes]:
        """Encoders of the shards of now, of late and of the next slot: they dial every validator."""
        genesis = self._epochs.genesis
        now = round_at(genesis, now_ms())
        found: set[bytes] = set()
        for round_ in range(max(0, now - MEETING_SLOTS), max(0, now + 1) + 1):
            epoch = self._epochs.find(round_ // genesis.parameters.epoch_rounds)
            if epoch is None:
                continue
            for at in meetings(epoch, round_):
                found.update(shard_of(epoch, at))
        return found
