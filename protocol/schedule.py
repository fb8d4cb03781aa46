"""When a round is and who has which part in it: pure functions of genesis and the round number."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from functools import lru_cache

from protocol.codec import Natural, Record, encode
from protocol.genesis import Genesis
from protocol.hashing import digest
from protocol.sampling import draw_dealer, draw_indices, draw_shard

DRAWS_KEPT = 256
"""Draws remembered: they cost time in proportion to the members, and every statement asks for one."""


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


def epoch_seed(genesis: Genesis, epoch: int) -> bytes:
    """Seed of an epoch's draws. Membership is genesis', so genesis' nonce seeds every epoch."""
    return digest("epoch-seed", genesis.network_id, epoch.to_bytes(8, "big"))


@lru_cache(maxsize=DRAWS_KEPT)
def dealer_of(genesis: Genesis, at: ShardRound) -> bytes:
    """Public key of the validator drawn by stake to deal this shard."""
    return _drawn_dealer(genesis, at)


@lru_cache(maxsize=DRAWS_KEPT)
def shard_of(genesis: Genesis, at: ShardRound) -> tuple[bytes, ...]:
    """Public keys of the encoders of the shard, sampled by stake, in key order."""
    size = min(genesis.parameters.shard_size, len(genesis.encoder_stakes))
    drawn = draw_shard(epoch_seed(genesis, at.epoch), at.round, at.shard, genesis.encoder_stakes, size)
    return tuple(sorted(drawn))


def witnesses_of(genesis: Genesis, at: ShardRound, encoder: bytes, count: int = 2) -> tuple[bytes, ...]:
    """The validators beside the dealer that receive an encoder's commits, so that no dealer can lose them."""
    dealer = dealer_of(genesis, at)
    others = [key for key in genesis.validators if key != dealer]
    others.sort(key=lambda key: digest("witness", encode(at), encoder, key))
    return tuple(others[:count])


def chain_depth(genesis: Genesis, at: ShardRound) -> int:
    """Depth in the dealer's hash chain of this shard-round's preimage; deeper for later rounds."""
    return at.round * genesis.parameters.shards_per_round + at.shard + 1


def mask_secret(genesis: Genesis, at: ShardRound, preimage: bytes) -> bytes:
    """The secret all masks, orders and wave keys of a shard-round derive from."""
    return digest("mask-secret", preimage, epoch_seed(genesis, at.epoch), encode(at))


@dataclass
class PoolSchedule:
    """Which items of its pool a dealer must score in a shard-round.

    The pool is permuted by the seed and dealt block by block over the slots the dealer was drawn for, counted
    from genesis: a pure function, so that nobody chooses items, and no item is ever scored twice. A slot that
    is not used spends its block all the same.

    Asked for scheduled shard-rounds only: hash chains end, which bounds the memory to 8 MiB.
    """

    genesis: Genesis
    _dealt: dict[bytes, int] = field(default_factory=dict)  # slots drawn so far, one entry a validator
    _blocks: array[int] = field(default_factory=lambda: array("Q"))  # by depth in the hash chains, less one

    def block(self, at: ShardRound) -> int:
        """How many earlier shard-rounds the dealer of `at` was drawn for."""
        depth = chain_depth(self.genesis, at)
        while len(self._blocks) < depth:
            round_, shard = divmod(len(self._blocks), self.genesis.parameters.shards_per_round)
            place = shard_round(self.genesis, round_, shard)
            dealer = _drawn_dealer(self.genesis, place)
            block = self._dealt.get(dealer, 0)
            self._dealt[dealer] = block + 1
            self._blocks.append(block)
        return self._blocks[depth - 1]

    def indices(self, at: ShardRound) -> tuple[int, ...]:
        """Pool indices of the scored items of a shard-round; none when the pool is spent."""
        dealer = dealer_of(self.genesis, at)
        count = self.genesis.parameters.scored_items
        size = self.genesis.validators[dealer].pool_size
        start = self.block(at) * count
        if start + count > size:
            return ()
        seed = digest("pool-seed", self.genesis.network_id)
        return draw_indices(seed, dealer, size, start, count)


def _drawn_dealer(genesis: Genesis, at: ShardRound) -> bytes:
    # Without replacement within a round: the preimage of a dealer's second shard would reveal its first's.
    seed, stakes = epoch_seed(genesis, at.epoch), genesis.validator_stakes
    for shard in range(at.shard):
        drawn = draw_dealer(seed, at.round, shard, stakes)
        stakes = tuple(member for member in stakes if member[0] != drawn)
    return draw_dealer(seed, at.round, at.shard, stakes)
