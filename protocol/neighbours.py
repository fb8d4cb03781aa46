"""Whom an encoder connects to: a few validators for an epoch, and those of its shards while they last."""

from __future__ import annotations

from protocol.epochs.view import Epoch
from protocol.hashing import digest
from protocol.schedule import ShardRound, dealer_of, shard_of, shard_round, witnesses_of

STANDING_SHARE = 256
"""Standing connections of encoders that a validator has in the mean, before encoders make do with fewer."""
FETCHERS_MAX = 128
"""Validators that fetch an encoder's answers from itself; where there are more, those ask the dealer."""
STANDING_MIN = 2
"""Fewer would leave an encoder with a single validator's word for what the network says."""
MEETING_SLOTS = 2
"""Whole slots after its own for which a shard-round's encoders stay connected: when it ends at the latest."""


def standing_count(wanted: int, validators: int, encoders: int) -> int:
    """How many validators an encoder keeps connected.

    What its operator wants, as long as the validators then have at most `STANDING_SHARE` such connections
    each in the mean; beyond that as many as give this mean, at least `STANDING_MIN`.
    """
    shared = STANDING_SHARE * validators // max(1, encoders)
    return min(validators, wanted, max(STANDING_MIN, shared))


def standing_order(epoch: Epoch, member: bytes) -> tuple[bytes, ...]:
    """The validators of an epoch in the order in which this member prefers to be connected to them.

    Rendezvous hashing under the epoch's seed: each member has an order of its own, each validator is
    preferred by as many as any other, and nobody can choose a key so as to be preferred by another before
    the seed is known.
    """
    return tuple(
        sorted(epoch.validators, key=lambda validator: digest("standing", epoch.seed, member, validator))
    )


def counterparts(epoch: Epoch, at: ShardRound, encoder: bytes) -> frozenset[bytes]:
    """The validators that an encoder of a shard must reach: the dealer and its witnesses.

    Nobody where the encoder is not in the shard.
    """
    if encoder not in shard_of(epoch, at):
        return frozenset()
    return frozenset((dealer_of(epoch, at), *witnesses_of(epoch, at, encoder)))


def fetchers(epoch: Epoch, at: ShardRound, encoder: bytes) -> frozenset[bytes]:
    """The validators that fetch the answers of an encoder of a shard from itself: all, or `FETCHERS_MAX`.

    Else all of them would fetch all answers of the shard from its dealer. Nobody where the encoder is not in
    the shard.
    """
    if encoder not in shard_of(epoch, at):
        return frozenset()
    return frozenset(standing_order(epoch, encoder)[:FETCHERS_MAX])


def meetings(epoch: Epoch, round_: int) -> tuple[ShardRound, ...]:
    """The shard-rounds of a round, in order; none unless the round is of this epoch."""
    shards = range(epoch.parameters.shards_per_round)
    found = tuple(shard_round(epoch.genesis, round_, shard) for shard in shards)
    return found if found[0].epoch == epoch.number else ()
