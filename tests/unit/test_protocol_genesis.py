"""Genesis: its bytes name the network, and what no network can run by is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.chain import LENGTH_MAX
from protocol.codec import encode
from protocol.genesis import (
    BATCH_ITEMS_MAX,
    GENESIS_BYTES_MAX,
    SHARD_SIZE_MAX,
    EncoderMember,
    Genesis,
    GenesisError,
    views_bounds,
)
from protocol.masks import MASKS_MAX, FirstMask
from protocol.sampling import POOL_ITEMS_MAX
from tests.support.genesis import small_network

GENESIS, VALIDATORS, ENCODERS = small_network(4, 6, items=8)
ORDER_EIGHT = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
CONTENT: Any = GENESIS.content


def with_parameters(**changes: object) -> Genesis:
    parameters: Any = GENESIS.parameters
    return Genesis(
        msgspec.structs.replace(CONTENT, parameters=msgspec.structs.replace(parameters, **changes))
    )


def with_members(**changes: object) -> Genesis:
    return Genesis(msgspec.structs.replace(CONTENT, **changes))


def test_bytes__read_back_to_the_same_network() -> None:
    again = Genesis.from_bytes(GENESIS.data)
    assert again.content == GENESIS.content
    assert again.network_id == GENESIS.network_id
    assert again.data == GENESIS.data


@settings(max_examples=60)
@given(data=st.data())
def test_changed_byte__is_refused_or_another_network(data: st.DataObject) -> None:
    changed = bytearray(GENESIS.data)
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        other = Genesis.from_bytes(bytes(changed))
    except GenesisError:
        return
    assert other.network_id != GENESIS.network_id


def test_bytes_of_no_genesis__are_refused() -> None:
    for wrong in (b"", b"\x90", GENESIS.data + b"\0", GENESIS.data[:-1], bytes(GENESIS_BYTES_MAX + 1)):
        with pytest.raises(GenesisError):
            Genesis.from_bytes(wrong)


def test_genesis_without_a_first_mask__has_spans_and_keeps_its_bytes_and_id() -> None:
    old = with_parameters(first_mask="spans")
    parameters = msgspec.structs.astuple(old.parameters)[:-1]
    fields = list(msgspec.structs.astuple(old.content))
    fields[3] = parameters
    assert old.data == encode(fields)
    again = Genesis.from_bytes(old.data)
    assert (again.first_mask, again.data) == (FirstMask.SPANS, old.data)
    assert again.network_id == old.network_id != GENESIS.network_id
    # Two encodings of one network would be two ids.
    with pytest.raises(GenesisError, match="does not name the first mask"):
        Genesis.from_bytes(encode(old.content))


def test_look_ups__are_in_key_order_and_hold_everybody() -> None:
    assert list(GENESIS.validators) == sorted(person.key for person in VALIDATORS)
    assert list(GENESIS.encoders) == sorted(person.key for person in ENCODERS)
    assert [key for key, _ in GENESIS.validator_stakes] == list(GENESIS.validators)
    assert GENESIS.total_stake == 400
    assert all(GENESIS.is_member(person.key) for person in (*VALIDATORS, *ENCODERS))
    assert not GENESIS.is_member(bytes(32))


def test_key_twice__is_refused_in_one_role_and_across_them() -> None:
    validator, encoder = CONTENT.validators[0], CONTENT.encoders[0]
    for changes in (
        {"validators": (*CONTENT.validators, validator)},
        {"encoders": (*CONTENT.encoders, encoder)},
        {"encoders": (*CONTENT.encoders, EncoderMember(validator.public_key, 1))},
    ):
        with pytest.raises(GenesisError, match="appears twice"):
            with_members(**changes)


@pytest.mark.parametrize(
    "key",
    [
        bytes(32),
        b"\1" + bytes(31),
        b"\xff" * 32,
        ORDER_EIGHT,
    ],
    ids=["order four", "neutral", "not canonical", "order eight"],
)
def test_key_nobody_can_sign_for_alone__is_refused(key: bytes) -> None:
    """For a point of small order signatures can be made up that verify."""
    with pytest.raises(GenesisError, match="no Ed25519 public key"):
        with_members(encoders=(*CONTENT.encoders, EncoderMember(key, 1)))


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "chains shorter than an epoch": ({"epoch_rounds": 65}, "shorter than one epoch"),
    "chains shorter than an epoch of shards": ({"shards_per_round": 5}, "shorter than one epoch"),
    "more shards than dealers": ({"shards_per_round": 5, "epoch_rounds": 6}, "a dealer of its own"),
    "chains that take minutes to check": ({"chain_length": LENGTH_MAX + 1}, f"over {LENGTH_MAX}"),
    "phases over two slots": ({"reveal_deadline_ms": 25_001}, "over two slots"),
    "two waves over a slot": ({"wave_deadline_ms": 10_001, "reveal_deadline_ms": 1}, "do not fit a slot"),
    "more masks than can be drawn": ({"masks_per_item": MASKS_MAX + 1}, "masks_per_item"),
    "a modality nobody knows": ({"modality": "smell"}, "use one of text, image"),
    "first masks nobody knows": ({"first_mask": "half"}, "cut or spans"),
    "pictures larger than a wave holds": (
        {"modality": "image", "scored_items": 256, "served_items_max": 256},
        "score or serve fewer",
    ),
    "more items than a body holds": ({"scored_items": BATCH_ITEMS_MAX}, "score or serve fewer"),
    "more bytes than a wave holds": ({"scored_items": 4_096, "served_items_max": 0}, "score or serve fewer"),
    "more views than a wave holds": (
        {"scored_items": 2_200, "served_items_max": 0, "masks_per_item": 16},
        "score or serve fewer",
    ),
    "more encoders than a lock holds": ({"shard_size": SHARD_SIZE_MAX + 1}, "what one lock can hold"),
    "more encoders asked than drawn": ({"encoders_min": 17}, "every round would be void"),
}


@pytest.mark.parametrize(("changes", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_parameters_no_network_can_run_by__are_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(GenesisError, match=reason):
        with_parameters(**changes)


ACCEPTED: dict[str, dict[str, object]] = {
    "chains of one epoch": {"epoch_rounds": 64},
    "the longest chains": {"chain_length": LENGTH_MAX},
    "phases of two slots": {"reveal_deadline_ms": 25_000},
    "two waves of a slot": {"wave_deadline_ms": 10_000, "reveal_deadline_ms": 1},
    "the most masks": {"masks_per_item": MASKS_MAX},
    "the largest shard": {"shard_size": SHARD_SIZE_MAX},
    "all encoders asked": {"encoders_min": 16},
    "a large batch": {"scored_items": 2_048, "served_items_max": 1_900},
}


@pytest.mark.parametrize("changes", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_parameters_at_their_edge__are_accepted(changes: dict[str, object]) -> None:
    genesis = with_parameters(**changes)
    assert genesis.network_id != GENESIS.network_id
    assert Genesis.from_bytes(genesis.data).parameters == genesis.parameters


def test_pool_that_cannot_be_drawn_from__is_refused() -> None:
    first, *rest = CONTENT.validators
    large = msgspec.structs.replace(first, pool_size=POOL_ITEMS_MAX + 1)
    with pytest.raises(GenesisError, match="a pool of"):
        with_members(validators=(large, *rest))


def test_views_bounds__count_masks_fulls_and_probes() -> None:
    parameters = GENESIS.parameters  # 8 scored, up to 16 served, 2 masks
    assert [views_bounds(parameters, wave) for wave in (1, 2, 3)] == [(8, 24), (8, 24), (25, 73)]


def test_nothing_a_genesis_leaves_out__can_be_read_back() -> None:
    empty = msgspec.structs.replace(CONTENT, encoders=())
    with pytest.raises(GenesisError):
        Genesis.from_bytes(encode(empty))
    with pytest.raises(GenesisError):
        Genesis.from_bytes(encode(msgspec.structs.replace(CONTENT, validators=())))
