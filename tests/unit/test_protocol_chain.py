"""Hash chains: every preimage verifies at its depth and at no other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain import LENGTH_MAX, ChainError, HashChain, chain_tip, preimage, verify_preimage

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "chain.json").read_text())
SEEDS = st.binary(min_size=32, max_size=32)


def test_chain__matches_the_vectors() -> None:
    for row in VECTORS:
        chain = HashChain(bytes.fromhex(row["seed"]), row["length"])
        assert chain.tip.hex() == row["tip"]
        assert chain.preimage(row["depth"]).hex() == row["preimage"]


@given(seed=SEEDS, length=st.integers(1, 120), data=st.data())
def test_preimage__verifies_at_its_own_depth_only(seed: bytes, length: int, data: st.DataObject) -> None:
    depth = data.draw(st.integers(0, length))
    other = data.draw(st.integers(0, length + 5).filter(lambda d: d != depth))
    tip, link = chain_tip(seed, length), preimage(seed, length, depth)
    assert verify_preimage(tip, link, depth)
    assert not verify_preimage(tip, link, other)


@given(seed=SEEDS, length=st.integers(1, 120))
def test_hash_chain__gives_the_same_preimages_as_the_slow_walk(seed: bytes, length: int) -> None:
    chain = HashChain(seed, length)
    assert chain.length == length
    assert chain.tip == chain_tip(seed, length) == chain.preimage(0)
    assert chain.preimage(length) == seed
    assert all(chain.preimage(depth) == preimage(seed, length, depth) for depth in range(length + 1))


@given(seed=SEEDS, length=st.integers(2, 120), data=st.data())
def test_verify_preimage__takes_an_earlier_preimage_as_tip(
    seed: bytes, length: int, data: st.DataObject
) -> None:
    earlier = data.draw(st.integers(0, length - 1))
    later = data.draw(st.integers(earlier + 1, length))
    chain = HashChain(seed, length)
    assert verify_preimage(chain.preimage(earlier), chain.preimage(later), later - earlier)


@given(tip=st.binary(max_size=40), link=st.binary(max_size=40), depth=st.integers(-2, 50))
def test_verify_preimage__answers_false_on_garbage(tip: bytes, link: bytes, depth: int) -> None:
    assert verify_preimage(tip, link, depth) is (depth == 0 and tip == link and len(tip) == 32)


def test_verify_preimage__refuses_a_depth_above_the_bound_without_walking_it() -> None:
    assert not verify_preimage(bytes(32), bytes(32), LENGTH_MAX + 1)
    assert not verify_preimage(bytes(32), bytes(32), 1 << 62)  # would hash for centuries


@pytest.mark.parametrize("length", [0, -1, LENGTH_MAX + 1])
def test_chain_tip__refuses_lengths_out_of_bounds(length: int) -> None:
    with pytest.raises(ChainError, match=f"not {length}"):
        chain_tip(bytes(32), length)


def test_chain_tip__refuses_a_seed_of_another_length() -> None:
    with pytest.raises(ChainError, match="32 bytes, not 5"):
        HashChain(b"short", 4)


@pytest.mark.parametrize("depth", [-1, 5])
def test_preimage__refuses_depths_outside_the_chain(depth: int) -> None:
    with pytest.raises(ChainError, match="outside a chain of 4"):
        HashChain(bytes(32), 4).preimage(depth)
