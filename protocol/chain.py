"""Hash chains: a dealer registers the tip and reveals preimages one by one, so no secret is chosen late.

Depth counts from the tip: depth 0 is the tip, depth `length` the seed. Who knows the preimage of one depth
knows those of all smaller depths and none of the greater ones.
"""

from __future__ import annotations

from math import isqrt
from typing import Final

from protocol.hashing import DIGEST_BYTES, digest

LENGTH_MAX: Final = 1 << 20
"""Bounds what a stranger's claimed depth can cost: about a second and a half of hashing."""


class ChainError(ValueError):
    """A seed, length or depth no chain has (own mistake, never a peer's)."""


class HashChain:
    """One chain with a checkpoint every sqrt(length) steps: any preimage in at most that many hashes.

    Memory: one digest per checkpoint, 257 for 2**16 steps.
    """

    __slots__ = ("_checkpoints", "_spacing", "length", "tip")

    def __init__(self, seed: bytes, length: int) -> None:
        """Walk the chain once, O(length) hashes. Raises ChainError on a bad seed or length."""
        _check_chain(seed, length)
        self.length: Final = length
        self._spacing = max(1, isqrt(length))
        self._checkpoints = [seed]  # number i is i * spacing steps from the seed
        link = seed
        for step in range(1, length + 1):
            link = _step(link)
            if step % self._spacing == 0:
                self._checkpoints.append(link)
        self.tip: Final = link

    def preimage(self, depth: int) -> bytes:
        """Return what hashes to the tip in `depth` steps. Raises ChainError outside 0 .. length."""
        _check_depth(depth, self.length)
        checkpoint, steps = divmod(self.length - depth, self._spacing)
        return _walk(self._checkpoints[checkpoint], steps)


def chain_tip(seed: bytes, length: int) -> bytes:
    """Return the tip of the chain of `length` steps over a 32-byte seed. Raises ChainError."""
    _check_chain(seed, length)
    return _walk(seed, length)


def preimage(seed: bytes, length: int, depth: int) -> bytes:
    """Return what hashes to the tip in `depth` steps; for several keep a HashChain. Raises ChainError."""
    _check_chain(seed, length)
    _check_depth(depth, length)
    return _walk(seed, length - depth)


def verify_preimage(tip: bytes, preimage: bytes, depth: int) -> bool:
    """Tell whether `preimage` hashes to `tip` in `depth` steps. False on garbage, never raises.

    Any preimage verified before serves as the tip of the next ones: pass it with the difference in depth, and
    each round costs the steps since the last reveal instead of all of them.
    """
    if len(tip) != DIGEST_BYTES or len(preimage) != DIGEST_BYTES or not 0 <= depth <= LENGTH_MAX:
        return False
    return _walk(preimage, depth) == tip


def _step(link: bytes) -> bytes:
    return digest("chain", link)


def _walk(link: bytes, steps: int) -> bytes:
    for _ in range(steps):
        link = _step(link)
    return link


def _check_chain(seed: bytes, length: int) -> None:
    if len(seed) != DIGEST_BYTES:
        raise ChainError(f"a chain's seed has {DIGEST_BYTES} bytes, not {len(seed)}: derive it with digest()")
    if not 1 <= length <= LENGTH_MAX:
        raise ChainError(
            f"a chain has 1 to {LENGTH_MAX} steps, not {length}: choose one per round to be dealt"
        )


def _check_depth(depth: int, length: int) -> None:
    if not 0 <= depth <= length:
        raise ChainError(
            f"depth {depth} is outside a chain of {length} steps: "
            "register the tip of a new chain before this one ends"
        )
