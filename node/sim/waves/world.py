"""A network whose pools hold real texts: the preset `localnet`, one mask an item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from config.presets import preset
from node.sim.world import Member, World, assembled
from protocol.chain import HashChain
from protocol.hashing import digest, uint
from protocol.items import canonical_text
from protocol.merkle import MerkleTree
from protocol.signatures import public_key

VALIDATORS: Final = 4
EPOCH_ROUNDS: Final = preset("localnet").parameters.epoch_rounds
MASKS_PER_ITEM: Final = 1


def waves_world(encoders: int, texts: Sequence[str], rounds: int, seed: int) -> World:
    """The validators share the texts, in an order drawn by the seed; all encoders are in each shard."""
    parameters = msgspec.structs.replace(
        preset("localnet").parameters,
        shard_size=encoders,
        masks_per_item=MASKS_PER_ITEM,
        chain_length=rounds + 8,
    )
    order = sorted(texts, key=lambda text: digest("sim-waves-text", uint(seed), text.encode()))
    validators = []
    for index in range(VALIDATORS):
        member = _member(f"v{index}", seed)
        member.pool = [canonical_text(text) for text in order[index::VALIDATORS]]
        member.tree = MerkleTree(member.pool)
        member.chain = HashChain(digest("sim-chain", member.seed), parameters.chain_length)
        validators.append(member)
    members = tuple(_member(f"e{index}", seed) for index in range(encoders))
    return assembled(parameters, digest("sim-waves-nonce", uint(seed)), tuple(validators), members)


def _member(name: str, seed: int) -> Member:
    secret = digest("sim-waves-key", uint(seed), name.encode())
    return Member(name, secret, public_key(secret))
