"""Merkle trees in the shape of RFC 6962, with the number of leaves bound into the root.

The largest power of two below the count goes left, so nothing is duplicated and no two lists of leaves share
a root. RFC 6962 leaves the count to a signed tree head; here the root commits to it, because our messages
carry bare roots and a proof for another count must fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from protocol.hashing import DIGEST_BYTES, digest, uint

LEAVES_MAX: Final = 1 << 32

Proof = tuple[bytes, ...]


class MerkleError(ValueError):
    """A tree without leaves, or a proof asked for a leaf that is not there (own mistake, never a peer's)."""


class MerkleTree:
    """All levels of one tree: built once in O(n), then any proof in O(log n)."""

    __slots__ = ("_levels", "root")

    def __init__(self, leaves: Sequence[bytes]) -> None:
        """Hash the leaves, any bytes each, up to the root. Raises MerkleError when there are none."""
        if not 1 <= len(leaves) <= LEAVES_MAX:
            raise MerkleError(
                f"a tree has 1 to {LEAVES_MAX} leaves, not {len(leaves)}: commit to at least one entry"
            )
        level = [_leaf_digest(leaf) for leaf in leaves]
        self._levels = [level]
        while len(level) > 1:
            above = [_node_digest(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
            if len(level) % 2:
                above.append(level[-1])  # no sibling: moves up unhashed
            self._levels.append(above)
            level = above
        self.root: Final = _root_digest(len(leaves), level[0])

    def __len__(self) -> int:
        return len(self._levels[0])

    def proof(self, index: int) -> Proof:
        """Return the siblings from leaf `index` to the top. Raises MerkleError outside the tree."""
        if not 0 <= index < len(self):
            raise MerkleError(f"no leaf {index} in a tree of {len(self)}: ask for 0 to {len(self) - 1}")
        siblings = []
        for level in self._levels[:-1]:
            sibling = index ^ 1
            if sibling < len(level):
                siblings.append(level[sibling])
            index //= 2
        return tuple(siblings)


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Return the root that binds `leaves`, their order and their count. Raises MerkleError when empty."""
    return MerkleTree(leaves).root


def merkle_proof(leaves: Sequence[bytes], index: int) -> Proof:
    """Return the proof of one leaf; for several of one tree keep a MerkleTree. Raises MerkleError."""
    return MerkleTree(leaves).proof(index)


def verify_merkle_proof(root: bytes, leaf: bytes, index: int, count: int, proof: Sequence[bytes]) -> bool:
    """Tell whether `leaf` is number `index` of the `count` leaves under `root`. Garbage is False."""
    if not 0 <= index < count <= LEAVES_MAX:
        return False
    if any(len(sibling) != DIGEST_BYTES for sibling in proof):
        return False
    node, last, siblings = _leaf_digest(leaf), count - 1, iter(proof)
    while last > 0:
        # The last node of a level of odd length has no sibling there and moves up as it is.
        if index % 2 or index < last:
            sibling = next(siblings, None)
            if sibling is None:
                return False
            node = _node_digest(sibling, node) if index % 2 else _node_digest(node, sibling)
        index, last = index // 2, last // 2
    return next(siblings, None) is None and _root_digest(count, node) == root


def _leaf_digest(leaf: bytes) -> bytes:
    return digest("merkle leaf", leaf)


def _node_digest(left: bytes, right: bytes) -> bytes:
    return digest("merkle node", left, right)


def _root_digest(count: int, top: bytes) -> bytes:
    return digest("merkle root", uint(count), top)
