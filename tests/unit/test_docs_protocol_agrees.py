"""The Python of docs/protocol.md and the package agree on anything they are asked, not on vectors alone."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from protocol.batch import plan_batch
from protocol.codec import encode
from protocol.epochs.registration import work_bits
from protocol.items import canonical_text
from protocol.masks import masks_of
from protocol.merkle import MerkleTree, verify_merkle_proof
from protocol.modalities import IMAGE, TEXT, Units
from protocol.sampling import draw_dealer, draw_indices, draw_shard
from tests.support.documents import ROOT
from tests.support.page_code import executed_blocks, run_all

KEYS = st.binary(min_size=32, max_size=32)
NATURALS = st.one_of(st.integers(0, 300), st.integers(0, 2**53 - 1))
VALUES = st.recursive(
    st.one_of(NATURALS, st.binary(max_size=80), st.text(max_size=40)),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=8,
)
WORDS = st.text("abcdefgh", min_size=1, max_size=6)
TEXTS = st.lists(WORDS, min_size=8, max_size=50).map(lambda words: canonical_text(" ".join(words)))
FEW = settings(max_examples=30)


@pytest.fixture(scope="module")
def page() -> Any:
    """What the blocks of the page define."""
    return _page()


@cache
def _page() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return SimpleNamespace(**run_all(executed_blocks("docs/protocol.md")))


@settings(max_examples=40)
@given(value=VALUES)
@example(value=[bytes(70_000), "w" * 300, list(range(17)), [0] * 70_000, 2**32])
def test_encoding__is_the_codecs(page: Any, value: object) -> None:
    assert page.pack(value) == encode(value)
    assert page.unpack(encode(value)) == value


@given(data=st.binary(max_size=60))
def test_any_bytes__are_a_value_or_refused(page: Any, data: bytes) -> None:
    try:
        value = page.unpack(data)
    except ValueError:
        return
    assert encode(value) == data


@FEW
@given(
    seed=KEYS,
    round_=NATURALS,
    shard=st.integers(0, 9),
    stakes=st.dictionaries(KEYS, st.integers(0, 2**53 - 1), min_size=1, max_size=12),
    size=st.integers(1, 14),
)
def test_draws__are_the_packages(
    page: Any, seed: bytes, round_: int, shard: int, stakes: dict[bytes, int], size: int
) -> None:
    members = [*stakes.items(), (bytes(32), 1)] if bytes(32) not in stakes else [(bytes(32), 1)]
    assert page.draw_dealer(seed, round_, shard, members) == draw_dealer(seed, round_, shard, members)
    drawn = page.draw_shard(seed, round_, shard, members, size)
    assert tuple(drawn) == draw_shard(seed, round_, shard, members, size)


@FEW
@given(seed=KEYS, dealer=KEYS, pool=st.integers(1, 200), block=st.integers(0, 4), scored=st.integers(1, 60))
def test_blocks_of_a_pool__are_the_packages(
    page: Any, seed: bytes, dealer: bytes, pool: int, block: int, scored: int
) -> None:
    found = page.draw_items(seed, dealer, pool, block, scored)
    start = block * scored
    told = draw_indices(seed, dealer, pool, start, scored) if start + scored <= pool else ()
    assert tuple(found) == told


@FEW
@given(secret=KEYS, item=TEXTS, count=st.integers(1, 16))
def test_masks_of_text__are_the_packages(page: Any, secret: bytes, item: bytes, count: int) -> None:
    units = Units.of(TEXT, item)
    assert page.masks_of(secret, item, len(units), count) == _sets(masks_of(secret, units, count))


@FEW
@given(secret=KEYS, rows=st.integers(2, 8), columns=st.integers(4, 8), count=st.integers(1, 4))
def test_masks_of_images__are_the_packages(
    page: Any, secret: bytes, rows: int, columns: int, count: int
) -> None:
    sides = (16 * rows).to_bytes(2, "big") + (16 * columns).to_bytes(2, "big")
    units = Units.of(IMAGE, sides + bytes(16 * rows * 16 * columns * 3))
    drawn = page.masks_of(secret, units.data, len(units), count, "image", 85, False)
    assert drawn == _sets(masks_of(secret, units, count))


@FEW
@given(
    secret=KEYS,
    texts=st.lists(TEXTS, min_size=2, max_size=6, unique=True),
    short=st.lists(WORDS.map(str.encode), max_size=2, unique=True),
    masks=st.integers(1, 3),
)
def test_batches__are_the_packages(
    page: Any, secret: bytes, texts: list[bytes], short: list[bytes], masks: int
) -> None:
    scored, served = texts[1:], [texts[0], *short]
    items, sealed = page.plan(secret, scored, served, masks)
    planned = plan_batch(secret, scored, served, masks)
    assert (tuple(items), tuple(sealed)) == (planned.items, planned.sealed)


@FEW
@given(leaves=st.lists(st.binary(max_size=8), min_size=1, max_size=20), data=st.data())
def test_proofs__hold_for_both_or_for_neither(page: Any, leaves: list[bytes], data: st.DataObject) -> None:
    tree, count = MerkleTree(leaves), len(leaves)
    index, told = (data.draw(st.integers(0, count - 1)) for _ in range(2))
    proof = tree.proof(index)
    for leaf, place in ((leaves[index], index), (leaves[told], index), (leaves[index], told)):
        holds = verify_merkle_proof(tree.root, leaf, place, count, proof)
        assert page.verify_merkle(tree.root, leaf, place, count, proof) is holds


@FEW
@given(network=KEYS, key=KEYS, epoch=NATURALS, nonce=KEYS)
def test_work__is_the_packages(page: Any, network: bytes, key: bytes, epoch: int, nonce: bytes) -> None:
    assert page.work_bits(network, key, epoch, nonce) == work_bits(network, key, epoch, nonce)


def _sets(masks: Any) -> list[set[int]]:
    return [{unit for start, stop in mask.spans for unit in range(start, stop)} for mask in masks]
