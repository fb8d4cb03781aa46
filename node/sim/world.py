"""A simulated network's genesis and the secrets of its members, from a few numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import msgspec

from config.presets import preset
from protocol.chain import HashChain
from protocol.genesis import (
    EPOCH_ROUNDS_MIN,
    EncoderMember,
    Genesis,
    GenesisContent,
    NetworkParameters,
    ValidatorMember,
)
from protocol.hashing import digest, uint
from protocol.items import canonical_text
from protocol.merkle import MerkleTree
from protocol.report import PoolItem
from protocol.schedule import ShardRound
from protocol.signatures import public_key

GENESIS_TIME_MS = 1_000_000_000
"""Far enough from zero for a clock that is an hour behind."""
WORDS_PER_ITEM = 12
VOCABULARY = 400
WORK_BITS = 6
WORLDS_KEPT = 96
"""More than seeds draw by themselves: 4 numbers of validators, 3 of encoders, 6 variants."""


@dataclass(frozen=True)
class Size:
    """What a network consists of. `variant` makes others of the same size: other keys, other draws."""

    validators: int
    encoders: int
    rounds: int
    variant: int = 0
    scored_items: int = 3
    shard_size: int = 6
    # Not in the name of the network: one with more shards a round has the same members and items.
    shards: int = field(default=1, repr=False)
    newcomers: int = field(default=0, repr=False)
    joiners: int = field(default=0, repr=False)


@dataclass
class Member:
    """Key and secrets of one node."""

    name: str
    seed: bytes
    key: bytes
    pool: list[bytes] = field(default_factory=list)
    tree: MerkleTree | None = None
    chain: HashChain | None = None

    def pool_item(self, index: int) -> PoolItem:
        """A challenge item with its proof."""
        assert self.tree is not None
        return PoolItem(index, self.pool[index], tuple(self.tree.proof(index)))


@dataclass(frozen=True)
class World:
    """What does not change while a network runs."""

    genesis: Genesis
    validators: tuple[Member, ...]
    encoders: tuple[Member, ...]
    newcomers: tuple[Member, ...]
    """Whom genesis does not know."""
    joiners: tuple[Member, ...] = ()
    """Validators that genesis does not know."""


@lru_cache(maxsize=WORLDS_KEPT)
def world_of(size: Size) -> World:
    """The network of this size: timings of the preset `localnet`, items and shards as small as can be."""
    parameters = msgspec.structs.replace(
        preset("localnet").parameters,
        shards_per_round=size.shards,
        shard_size=size.shard_size,
        scored_items=size.scored_items,
        served_items_max=2,
        chain_length=max(8, size.rounds + 1) * size.shards,
        epoch_rounds=EPOCH_ROUNDS_MIN,
        registration_work_bits=WORK_BITS,
    )
    validators = tuple(_validator(size, f"v{index}", parameters) for index in range(size.validators))
    encoders = tuple(_member(size, f"e{index}") for index in range(size.encoders))
    newcomers = tuple(_member(size, f"n{index}") for index in range(size.newcomers))
    joiners = tuple(_validator(size, f"j{index}", parameters) for index in range(size.joiners))
    nonce = digest("sim-nonce", repr(size).encode())
    return assembled(parameters, nonce, validators, encoders, newcomers, joiners)


def assembled(
    parameters: NetworkParameters,
    nonce: bytes,
    validators: tuple[Member, ...],
    encoders: tuple[Member, ...],
    newcomers: tuple[Member, ...] = (),
    joiners: tuple[Member, ...] = (),
) -> World:
    """A network of these members, each with the same stake. Raises GenesisError."""
    content = GenesisContent(
        name="simulated",
        nonce=nonce,
        genesis_time_ms=GENESIS_TIME_MS,
        parameters=parameters,
        validators=tuple(registered(member) for member in validators),
        encoders=tuple(EncoderMember(member.key, 100) for member in encoders),
        bonds=(),
    )
    return World(Genesis(content), validators, encoders, newcomers, joiners)


def served_text(at: ShardRound) -> bytes:
    """What a user submits to the dealer of a shard-round."""
    return _text(f"user{at.round}" if at.shard == 0 else f"user{at.round}-{at.shard}", 1)[0]


def submitted_text(number: int) -> bytes:
    """What a user submits to some validator."""
    return _text(f"submitted{number}", 1)[0]


def _member(size: Size, name: str) -> Member:
    seed = digest("sim-key", repr(size).encode(), name.encode())
    return Member(name, seed, public_key(seed))


def _validator(size: Size, name: str, parameters: NetworkParameters) -> Member:
    member = _member(size, name)
    # Enough for one validator that is drawn for every round; none is drawn twice in one.
    member.pool = _text(f"{member.name}-{size.variant}", (size.rounds + 1) * size.scored_items)
    member.tree = MerkleTree(member.pool)
    member.chain = HashChain(digest("sim-chain", member.seed), parameters.chain_length)
    return member


def registered(member: Member) -> ValidatorMember:
    """What a genesis says of a validator."""
    assert member.tree is not None
    assert member.chain is not None
    return ValidatorMember(member.key, 100, (), member.tree.root, len(member.pool), member.chain.tip)


def _text(name: str, count: int) -> list[bytes]:
    items = []
    for index in range(count):
        drawn = digest("sim-item", name.encode(), uint(index))
        words = [
            f"w{int.from_bytes(drawn[at : at + 2], 'big') % VOCABULARY}"
            for at in range(0, 2 * WORDS_PER_ITEM - 2, 2)
        ]
        items.append(canonical_text(" ".join([*words, f"{name}.{index}"])))
    return items
