"""A validator's pool of challenge items, fixed when its member card is made and committed to in genesis.

The items stay secret until they are dealt: the file is private. Its Merkle root is what genesis holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from node.private_file import PrivateFileError, read_private, write_once
from protocol.codec import CodecError, Digest, Natural, Record, decode, encode
from protocol.items import ItemError
from protocol.merkle import MerkleTree
from protocol.modalities import MODALITIES, TEXT, Modality
from protocol.report import PoolItem

POOL_FILE_NAME: Final = "pool.msgpack"
POOL_BYTES_MAX: Final = 64 << 20
"""Largest pool file: about 180,000 items of 60 words."""
_VERSION: Final = 2
_WHAT: Final = "the pool of challenge items"


class PoolError(PrivateFileError):
    """Items no pool can be made of, or a file that holds no pool."""


class _PoolFile(Record, frozen=True):
    version: Natural
    root: Digest
    """Merkle root over the items: what a change of any byte of them would break."""
    modality: str
    """What its items are: a network of another modality cannot use them."""
    items: tuple[bytes, ...]


class Pool:
    """The items in their committed order, with one Merkle tree over them."""

    __slots__ = ("_items", "_tree", "modality")

    def __init__(self, items: Sequence[bytes], modality: Modality = TEXT) -> None:
        """Build the tree once, O(n). Raises PoolError when there are no items."""
        if not items:
            raise PoolError("a pool needs at least one item: point --data to more data")
        self.modality: Final = modality
        self._items: Final = tuple(items)
        self._tree: Final = MerkleTree(self._items)

    @classmethod
    def create(cls, path: Path, items: Sequence[bytes], modality: Modality = TEXT) -> Self:
        """Write a new pool of distinct canonical items. Raises PrivateFileError; never overwrites."""
        _check_items(items, modality)
        pool = cls(items, modality)
        data = encode(_PoolFile(_VERSION, pool.root, modality.name, pool._items))
        if len(data) > POOL_BYTES_MAX:
            raise PoolError(
                f"a pool of {len(items)} items takes {len(data)} bytes, over the bound of {POOL_BYTES_MAX}: "
                "point --data to a part of it"
            )
        write_once(path, data, _WHAT)
        return pool

    @classmethod
    def load(cls, path: Path) -> Self:
        """The pool in a file. Raises PrivateFileError when missing, damaged or open to other users."""
        data = read_private(
            path,
            _WHAT,
            size_bytes_max=POOL_BYTES_MAX,
            when_missing="make one with `deltamesh init --role validator`, or restore it from a backup",
        )
        try:
            file = decode(data, _PoolFile, size_bytes_max=POOL_BYTES_MAX)
        except CodecError as error:
            raise PoolError(f"{path} does not hold {_WHAT} ({error}): restore it from a backup") from None
        if file.version != _VERSION:
            raise PoolError(
                f"{path} is a pool of version {file.version}, this software reads {_VERSION}: update it"
            )
        if file.modality not in MODALITIES:
            raise PoolError(
                f"{path} holds items of modality {file.modality[:40]!r}, which this version does not know: "
                "update it, or restore the file from a backup"
            )
        pool = cls(file.items, MODALITIES[file.modality])
        if pool.root != file.root:
            raise PoolError(
                f"{path} is damaged: its items do not have the root it was written with; "
                "restore it from a backup"
            )
        return pool

    @property
    def root(self) -> bytes:
        """Merkle root [32]: what the member card commits to."""
        return self._tree.root

    @property
    def size(self) -> int:
        """Number of items."""
        return len(self._items)

    @property
    def items(self) -> tuple[bytes, ...]:
        """The items in their order."""
        return self._items

    def item(self, index: int) -> PoolItem:
        """Item `index` with its proof. Raises MerkleError outside the pool."""
        proof = self._tree.proof(index)
        return PoolItem(index, self._items[index], proof)


def _check_items(items: Sequence[bytes], modality: Modality) -> None:
    if len(set(items)) != len(items):
        raise PoolError("an item is twice in the pool: every item is scored once, so leave out the repeats")
    for number, item in enumerate(items):
        try:
            modality.check(item)
        except ItemError as error:
            raise PoolError(f"item {number} cannot be in a pool: {error}") from None
