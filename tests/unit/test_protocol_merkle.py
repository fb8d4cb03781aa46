"""Merkle trees: every proof of every leaf verifies, and nothing else does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.hashing import digest, uint
from protocol.merkle import MerkleError, MerkleTree, merkle_proof, merkle_root, verify_merkle_proof

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "merkle.json").read_text())
LEAVES = st.lists(st.binary(max_size=6), min_size=1, max_size=40)


def rfc_6962_top(leaves: list[bytes]) -> bytes:
    """The recursion of RFC 6962, section 2.1, word for word but for the hash: the oracle of the shape."""
    if len(leaves) == 1:
        return digest("merkle leaf", leaves[0])
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return digest("merkle node", rfc_6962_top(leaves[:k]), rfc_6962_top(leaves[k:]))


def test_merkle__matches_the_vectors() -> None:
    for row in VECTORS:
        leaves = [bytes.fromhex(leaf) for leaf in row["leaves"]]
        assert merkle_root(leaves).hex() == row["root"]
        assert [sibling.hex() for sibling in merkle_proof(leaves, row["index"])] == row["proof"]


@given(leaves=LEAVES)
def test_merkle_root__has_the_shape_of_rfc_6962_and_binds_the_count(leaves: list[bytes]) -> None:
    assert merkle_root(leaves) == digest("merkle root", uint(len(leaves)), rfc_6962_top(leaves))


@given(leaves=LEAVES)
def test_verify__accepts_every_proof(leaves: list[bytes]) -> None:
    tree = MerkleTree(leaves)
    assert len(tree) == len(leaves)
    for index, leaf in enumerate(leaves):
        proof = tree.proof(index)
        assert len(proof) <= (len(leaves) - 1).bit_length()
        assert verify_merkle_proof(tree.root, leaf, index, len(leaves), proof)


@given(data=st.data(), count=st.integers(1, 40))
def test_verify__refuses_another_leaf_index_count_or_proof(data: st.DataObject, count: int) -> None:
    leaves = [uint(i) for i in range(count)]
    tree = MerkleTree(leaves)
    index = data.draw(st.integers(0, count - 1))
    leaf, proof = leaves[index], tree.proof(index)
    assert verify_merkle_proof(tree.root, leaf, index, count, proof)
    other_index = data.draw(st.integers(-3, 45).filter(lambda i: i != index))
    other_count = data.draw(st.integers(-3, 1 << 33).filter(lambda c: c != count))
    assert not verify_merkle_proof(tree.root, leaf, other_index, count, proof)
    assert not verify_merkle_proof(tree.root, leaf, index, other_count, proof)
    assert not verify_merkle_proof(tree.root, leaf + b"x", index, count, proof)
    assert not verify_merkle_proof(tree.root, leaf, index, count, (*proof, bytes(32)))
    assert not verify_merkle_proof(tree.root[:-1], leaf, index, count, proof)
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        changed = bytearray(proof[at])
        changed[data.draw(st.integers(0, 31))] ^= 1
        assert not verify_merkle_proof(
            tree.root, leaf, index, count, (*proof[:at], bytes(changed), *proof[at + 1 :])
        )
        assert not verify_merkle_proof(tree.root, leaf, index, count, proof[:-1])
        assert not verify_merkle_proof(tree.root, leaf, index, count, (proof[0][:-1], *proof[1:]))


def test_merkle_root__differs_when_the_last_leaf_is_doubled() -> None:
    # Trees that pad by repeating the last leaf give both lists one root (CVE-2012-2459).
    assert merkle_root([b"a", b"b", b"c"]) != merkle_root([b"a", b"b", b"c", b"c"])


def test_verify__refuses_an_inner_node_passed_off_as_a_leaf() -> None:
    leaves = [b"a", b"b", b"c", b"d"]
    inner = digest("merkle leaf", b"a") + digest("merkle leaf", b"b")
    sibling = MerkleTree(leaves).proof(0)[1]
    assert not verify_merkle_proof(merkle_root(leaves), inner, 0, 2, (sibling,))
    assert not verify_merkle_proof(merkle_root(leaves), inner, 0, 4, (sibling,))


@given(a=LEAVES, b=LEAVES)
def test_merkle_root__is_equal_only_for_equal_leaves(a: list[bytes], b: list[bytes]) -> None:
    assert (merkle_root(a) == merkle_root(b)) == (a == b)


def test_merkle_tree__refuses_no_leaves_because_nothing_would_be_committed() -> None:
    with pytest.raises(MerkleError, match="not 0"):
        merkle_root([])


@pytest.mark.parametrize("index", [-1, 3])
def test_proof__refuses_a_leaf_that_is_not_there(index: int) -> None:
    with pytest.raises(MerkleError, match="in a tree of 3"):
        merkle_proof([b"a", b"b", b"c"], index)
