"""The schedule: what genesis and a round's number say, alike on every machine."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain import verify_preimage
from protocol.epochs.view import Epoch
from protocol.genesis import Genesis
from protocol.schedule import ShardRound, chain_depth, is_scheduled, round_at, shard_round, slot_start_ms
from tests.support.epochs import dealer_of, mask_secret, pool_block, pool_indices, shard_of, witnesses_of
from tests.support.genesis import small_network

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "schedule.json").read_text())
GENESIS, VALIDATORS, _ = small_network(4, 6, items=8, shard_size=4, shards_per_round=2, epoch_rounds=8)
P = GENESIS.parameters
ROUNDS = P.chain_length // P.shards_per_round
SCHEDULED = st.builds(
    lambda round_, shard: shard_round(GENESIS, round_, shard),
    st.integers(0, ROUNDS - 1),
    st.integers(0, P.shards_per_round - 1),
)
ALL = [shard_round(GENESIS, n, shard) for n in range(ROUNDS) for shard in range(P.shards_per_round)]


def changed(genesis: Genesis, **changes: object) -> Genesis:
    content: Any = genesis.content
    return Genesis(msgspec.structs.replace(content, **changes))


def test_vectors__give_the_same_schedule_on_any_machine() -> None:
    genesis = Genesis.from_bytes(bytes.fromhex(VECTORS["genesis"]))
    assert genesis.network_id.hex() == VECTORS["network_id"]
    for row in VECTORS["shard_rounds"]:
        at = shard_round(genesis, row["round"], row["shard"])
        assert at.epoch == row["epoch"]
        assert dealer_of(genesis, at).hex() == row["dealer"]
        assert [key.hex() for key in shard_of(genesis, at)] == row["encoders"]
        first = shard_of(genesis, at)[0]
        assert [key.hex() for key in witnesses_of(genesis, at, first)] == row["witnesses_of_first"]
        assert list(pool_indices(genesis, at)) == row["indices"]
        assert mask_secret(genesis, at, bytes(32)).hex() == row["mask_secret_of_zeros"]
        assert chain_depth(genesis, at) == row["depth"]


@given(round_=st.integers(0, 2**40), offset_ms=st.integers(0, P.slot_ms - 1))
def test_slot__holds_exactly_its_milliseconds(round_: int, offset_ms: int) -> None:
    start_ms = slot_start_ms(GENESIS, round_)
    assert round_at(GENESIS, start_ms + offset_ms) == round_
    assert round_at(GENESIS, start_ms - 1) == round_ - 1


def test_time_before_genesis__is_a_negative_round() -> None:
    assert round_at(GENESIS, 0) < 0
    assert round_at(GENESIS, GENESIS.content.genesis_time_ms - 1) == -1


@given(at=SCHEDULED)
def test_scheduled_round__is_so_in_its_own_epoch_and_shard_only(at: ShardRound) -> None:
    assert is_scheduled(GENESIS, at)
    assert not is_scheduled(GENESIS, ShardRound(at.epoch + 1, at.round, at.shard))
    assert not is_scheduled(GENESIS, ShardRound(at.epoch, at.round + P.epoch_rounds, at.shard))
    assert not is_scheduled(GENESIS, ShardRound(at.epoch, at.round, P.shards_per_round))


def test_schedule__ends_with_the_hash_chains() -> None:
    """A round no validator has a preimage for cannot be dealt, so nothing is said about it."""
    assert is_scheduled(GENESIS, ALL[-1])
    assert chain_depth(GENESIS, ALL[-1]) == P.chain_length
    assert not is_scheduled(GENESIS, shard_round(GENESIS, ROUNDS, 0))
    assert not is_scheduled(GENESIS, shard_round(GENESIS, 2**52, 0))


def test_chain_depths__are_all_different_and_deeper_later() -> None:
    depths = [chain_depth(GENESIS, at) for at in ALL]
    assert depths == list(range(1, P.chain_length + 1))
    chain = VALIDATORS[0].chain
    assert chain is not None
    shown = chain.preimage(depths[9])
    assert verify_preimage(chain.tip, shown, depths[9])
    for other in (depths[8], depths[10]):
        assert not verify_preimage(chain.tip, shown, other)


@given(at=SCHEDULED)
def test_parts_of_a_round__are_members_and_the_dealer_is_no_witness(at: ShardRound) -> None:
    dealer, shard = dealer_of(GENESIS, at), shard_of(GENESIS, at)
    assert dealer in GENESIS.validators
    assert len(set(shard)) == len(shard) == P.shard_size
    assert list(shard) == sorted(shard)
    assert set(shard) <= GENESIS.encoders.keys()
    for key in shard:
        witnesses = witnesses_of(GENESIS, at, key)
        assert len(set(witnesses)) == 2
        assert dealer not in witnesses
        assert set(witnesses) <= GENESIS.validators.keys()
        assert witnesses_of(GENESIS, at, key, 99) != witnesses
        assert set(witnesses_of(GENESIS, at, key, 99)) == GENESIS.validators.keys() - {dealer}


def test_parts__fall_to_everybody_in_time() -> None:
    assert {dealer_of(GENESIS, at) for at in ALL} == GENESIS.validators.keys()
    assert {key for at in ALL for key in shard_of(GENESIS, at)} == GENESIS.encoders.keys()
    first = GENESIS.content.encoders[0].public_key
    witnessed = Counter(key for at in ALL for key in witnesses_of(GENESIS, at, first))
    assert witnessed.keys() == GENESIS.validators.keys()


def test_order_of_members_in_genesis__changes_the_network_but_not_its_look_ups() -> None:
    members = GENESIS.content.encoders
    other = changed(GENESIS, encoders=members[::-1])
    assert other.network_id != GENESIS.network_id
    ours, others = Epoch.first(GENESIS), Epoch.first(other)
    assert others.sampling_stakes == ours.sampling_stakes
    assert others.seed != ours.seed


def test_nonce__changes_every_draw() -> None:
    other = changed(GENESIS, nonce=bytes(32))
    assert [dealer_of(other, at) for at in ALL] != [dealer_of(GENESIS, at) for at in ALL]
    assert [shard_of(other, at) for at in ALL] != [shard_of(GENESIS, at) for at in ALL]


def test_mask_secret__is_its_rounds_and_preimages_own() -> None:
    secrets = {mask_secret(GENESIS, at, preimage) for at in ALL for preimage in (bytes(32), b"\1" * 32)}
    assert len(secrets) == 2 * len(ALL)


# -- the pool ----------------------------------------------------------------------------------------------


def test_pool_blocks__never_repeat_an_item_and_end_with_the_pool() -> None:
    picked: dict[bytes, list[int]] = {key: [] for key in GENESIS.validators}
    deals: Counter[bytes] = Counter()
    for at in ALL:
        dealer = dealer_of(GENESIS, at)
        indices = pool_indices(GENESIS, at)
        assert pool_block(GENESIS, at) == deals[dealer]
        deals[dealer] += 1
        size = GENESIS.validators[dealer].pool_size
        if deals[dealer] * P.scored_items <= size:
            assert len(indices) == P.scored_items
        else:
            assert indices == ()
        picked[dealer] += indices
    for key, indices_picked in picked.items():
        assert len(set(indices_picked)) == len(indices_picked)
        assert set(indices_picked) <= set(range(GENESIS.validators[key].pool_size))
    assert any(len(indices) == GENESIS.validators[key].pool_size for key, indices in picked.items())


def test_pool_blocks__go_on_counting_from_epoch_to_epoch() -> None:
    members = GENESIS.content.validators
    long = changed(
        GENESIS,
        parameters=msgspec.structs.replace(P, chain_length=600, shards_per_round=1),
        validators=members,
    )
    last = shard_round(long, 599, 0)
    earlier = sum(dealer_of(long, shard_round(long, n, 0)) == dealer_of(long, last) for n in range(599))
    assert pool_block(long, last) == earlier > 0
    assert pool_block(long, shard_round(long, 0, 0)) == 0


@pytest.mark.parametrize("text", ["1/0", "15/1"])
def test_shard_round__reads_as_round_and_shard(text: str) -> None:
    round_, shard = map(int, text.split("/"))
    assert str(shard_round(GENESIS, round_, shard)) == text


def test_shards_of_one_round__have_a_dealer_each() -> None:
    for round_ in range(ROUNDS):
        dealers = [dealer_of(GENESIS, shard_round(GENESIS, round_, shard)) for shard in range(2)]
        assert len(set(dealers)) == 2
