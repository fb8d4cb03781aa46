"""When a round is, and who has which part in it: pure functions of genesis, epoch and round number."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

from protocol.codec import Natural, Record, encode
from protocol.epochs.view import Epoch
from protocol.genesis import Genesis
from protocol.hashing import digest
from protocol.sampling import StakeTable, draw_dealer, draw_indices, draw_shard

EPOCHS_DRAWN = 8
"""Epochs whose dealers are remembered, and whose members are prepared for draws."""
NOBODY = b""
"""The dealer of a shard for which no validator is left."""
DRAWS_KEPT = 256
"""Draws remembered: every statement asks for one."""


class ShardRound(Record, frozen=True, order=True):
    """One shard of one round: the unit that is dealt, scored and certified."""

    epoch: Natural
    round: Natural
    shard: Natural

    def __str__(self) -> str:
        return f"{self.round}/{self.shard}"


def round_at(genesis: Genesis, now_ms: int) -> int:
    """The round whose slot contains `now_ms`; negative before genesis."""
    return (now_ms - genesis.content.genesis_time_ms) // genesis.parameters.slot_ms


def slot_start_ms(genesis: Genesis, round_: int) -> int:
    """Start of the slot, milliseconds since the Unix epoch."""
    return genesis.content.genesis_time_ms + round_ * genesis.parameters.slot_ms


def shard_round(genesis: Genesis, round_: int, shard: int) -> ShardRound:
    """The full name of a round's shard."""
    return ShardRound(round_ // genesis.parameters.epoch_rounds, round_, shard)


def is_scheduled(genesis: Genesis, at: ShardRound) -> bool:
    """Whether epoch, round and shard belong together in this network, and its hash chains reach so far."""
    p = genesis.parameters
    fits = at.epoch == at.round // p.epoch_rounds and at.shard < p.shards_per_round
    return fits and chain_depth(genesis, at) <= p.chain_length


def is_first_place(genesis: Genesis, at: ShardRound) -> bool:
    """Whether a shard-round is the first of its epoch."""
    return at.shard == 0 and at.round == at.epoch * genesis.parameters.epoch_rounds


@lru_cache(maxsize=DRAWS_KEPT)
def proposer_of(epoch: Epoch, round_: int) -> bytes:
    """Public key of the validator of `epoch` drawn by stake to propose the next record in a slot."""
    seed = digest("proposer-seed", epoch.seed)
    return draw_dealer(seed, round_, 0, epoch.validator_stakes) if epoch.validator_stakes else NOBODY


@lru_cache(maxsize=DRAWS_KEPT)
def dealer_of(epoch: Epoch, at: ShardRound) -> bytes:
    """Public key of the validator drawn by stake to deal this shard; NOBODY when there are too few."""
    _check_epoch(epoch, at)
    return next(islice(_dealers(epoch, at.round), at.shard, None))


@lru_cache(maxsize=DRAWS_KEPT)
def shard_of(epoch: Epoch, at: ShardRound) -> tuple[bytes, ...]:
    """Public keys of the encoders of the shard, sampled by stake and reputation, in key order."""
    _check_epoch(epoch, at)
    stakes = epoch.sampling_stakes
    if not stakes:
        return ()
    size = min(epoch.parameters.shard_size, len(stakes))
    return tuple(sorted(draw_shard(epoch.seed, at.round, at.shard, _stake_table(epoch), size)))


@lru_cache(maxsize=EPOCHS_DRAWN)
def _stake_table(epoch: Epoch) -> StakeTable:
    return StakeTable(epoch.sampling_stakes)


@lru_cache(maxsize=DRAWS_KEPT)
def witnesses_of(epoch: Epoch, at: ShardRound, encoder: bytes, count: int = 2) -> tuple[bytes, ...]:
    """The validators beside the dealer that receive an encoder's commits, so that no dealer can lose them."""
    dealer = dealer_of(epoch, at)
    others = [key for key in epoch.validators if key != dealer]
    others.sort(key=lambda key: digest("witness", encode(at), encoder, key))
    return tuple(others[:count])


def chain_depth(genesis: Genesis, at: ShardRound) -> int:
    """Depth in the dealer's hash chain of this shard-round's preimage; deeper for later rounds."""
    return at.round * genesis.parameters.shards_per_round + at.shard + 1


def mask_secret(epoch: Epoch, at: ShardRound, preimage: bytes) -> bytes:
    """The secret all masks, orders and wave keys of a shard-round derive from."""
    _check_epoch(epoch, at)
    return digest("mask-secret", preimage, epoch.seed, encode(at))


def pool_block(epoch: Epoch, at: ShardRound) -> int:
    """How many earlier shard-rounds, counted from genesis, the dealer of `at` was drawn for."""
    dealer = dealer_of(epoch, at)
    first = first_place(epoch)
    earlier = dealers_in(epoch)[: chain_depth(epoch.genesis, at) - chain_depth(epoch.genesis, first)]
    return epoch.states[dealer].blocks_dealt + earlier.count(dealer)


def pool_indices(epoch: Epoch, at: ShardRound) -> tuple[int, ...]:
    """Pool indices of the scored items of a shard-round; none when the pool is spent.

    The pool is permuted by the network id and dealt block by block over the slots the dealer was drawn for,
    counted from genesis; that of a validator that joined later by the seed of its first epoch too, which it
    did not know when it committed to the pool. A pure function, so that nobody chooses items, and no item is
    ever scored twice. A slot that is not used spends its block all the same.
    """
    dealer = dealer_of(epoch, at)
    count = epoch.parameters.scored_items
    size = epoch.validators[dealer].pool_size
    start = pool_block(epoch, at) * count
    if start + count > size:
        return ()
    joined = epoch.joined.get(dealer)
    known_later = () if joined is None else (joined.pool_seed,)
    seed = digest("pool-seed", epoch.network_id, *known_later)
    return draw_indices(seed, dealer, size, start, count)


def first_place(epoch: Epoch) -> ShardRound:
    """The first shard-round of an epoch."""
    return ShardRound(epoch.number, epoch.number * epoch.parameters.epoch_rounds, 0)


@lru_cache(maxsize=EPOCHS_DRAWN)
def dealers_in(epoch: Epoch) -> tuple[bytes, ...]:
    """The dealers of all shard-rounds of an epoch, in order."""
    first, p = first_place(epoch).round, epoch.parameters
    return tuple(
        dealer for round_ in range(first, first + p.epoch_rounds) for dealer in _dealers(epoch, round_)
    )


def _check_epoch(epoch: Epoch, at: ShardRound) -> None:
    # Our own mistake, never a peer's: draws by another epoch's members would look right.
    assert epoch.number == at.epoch, f"epoch {epoch.number} asked about shard-round {at} of {at.epoch}"


def _dealers(epoch: Epoch, round_: int) -> Iterator[bytes]:
    # Without replacement within a round: the preimage of a dealer's second shard would reveal its first's.
    stakes = epoch.validator_stakes
    for shard in range(epoch.parameters.shards_per_round):
        if not stakes:
            yield NOBODY
            continue
        drawn = draw_dealer(epoch.seed, round_, shard, stakes)
        stakes = tuple(member for member in stakes if member[0] != drawn)
        yield drawn
