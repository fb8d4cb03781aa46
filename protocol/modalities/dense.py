"""What images, audio and series share: a header, a grid of numbers, and blocks of it as units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from protocol.items import ItemError
from protocol.modalities.modality import Span

HEADER_BYTES: Final = 4
SHAPES_KEPT: Final = 256
"""Grids whose order of blocks is remembered; there are 64 shapes of images, 16 of audio, 4,096 of series."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of the grid: how many lines it may have, and how many of them a block spans."""

    name: str
    least: int
    most: int
    block: int

    def check(self, lines: int, what: str) -> None:
        """Raise ItemError for a number of lines outside the bounds, or that blocks do not fill."""
        if not self.least <= lines <= self.most or lines % self.block:
            raise ItemError(
                f"{what} of {lines} {self.name}: {self.least} to {self.most} are allowed"
                + (f", in multiples of {self.block}" if self.block > 1 else "")
            )


@dataclass(frozen=True, slots=True)
class Grid:
    """A modality whose items are grids: header of two sides as big-endian u16, then cells row by row.

    A masked block has the neutral byte everywhere: a view is as large as its item. Blocks are counted in
    Z-order, so that a span of them is a patch of neighbours, or one column of blocks after the other.
    """

    name: str
    rows: Side
    columns: Side
    cell_bytes: int
    neutral: int
    share_percent_max: int
    payload_bytes_max: int
    z_order: bool

    @property
    def item_bytes_max(self) -> int:
        """With the header."""
        return HEADER_BYTES + self.payload_bytes_max

    @property
    def masks_keep_size(self) -> bool:
        """A grid stays whole."""
        return True

    @property
    def is_cut_in_two(self) -> bool:
        """A grid has no ends."""
        return False

    def check(self, data: bytes) -> None:
        """Raises ItemError."""
        if len(data) < HEADER_BYTES:
            raise ItemError(f"{self.name} of {len(data)} bytes has no header")
        rows, columns = self.shape(data)
        self.rows.check(rows, self.name)
        self.columns.check(columns, self.name)
        size = rows * columns * self.cell_bytes
        if size > self.payload_bytes_max:
            raise ItemError(f"{self.name} of {size} bytes, {self.payload_bytes_max} are allowed: cut it")
        if len(data) != HEADER_BYTES + size:
            raise ItemError(
                f"{self.name} of {rows} x {columns} has {size} bytes after its header, "
                f"not {len(data) - HEADER_BYTES}"
            )

    def shape(self, data: bytes) -> tuple[int, int]:
        """Rows and columns, as the header has them."""
        return int.from_bytes(data[:2], "big"), int.from_bytes(data[2:4], "big")

    def unit_sizes(self, data: bytes) -> Sequence[int]:
        """1 for every block: all have the same size."""
        rows, columns = self.shape(data)
        return (1,) * (rows // self.rows.block * (columns // self.columns.block))

    def keep(self, data: bytes, spans: Sequence[Span]) -> bytes:
        """The blocks inside the spans, the others neutral."""
        rows, columns = self.shape(data)
        order = _order(rows // self.rows.block, columns // self.columns.block, self.z_order)
        view = bytearray(data[:HEADER_BYTES]) + bytes((self.neutral,)) * (len(data) - HEADER_BYTES)
        line_bytes, block_bytes = columns * self.cell_bytes, self.columns.block * self.cell_bytes
        for start, stop in spans:
            for row, column in order[start:stop]:
                place = HEADER_BYTES + row * self.rows.block * line_bytes + column * block_bytes
                for _ in range(self.rows.block):
                    view[place : place + block_bytes] = data[place : place + block_bytes]
                    place += line_bytes
        return bytes(view)


@lru_cache(maxsize=SHAPES_KEPT)
def _order(rows: int, columns: int, z_order: bool) -> tuple[tuple[int, int], ...]:
    """Where the blocks lie, in the order they are counted."""
    places = [(row, column) for column in range(columns) for row in range(rows)]
    return tuple(sorted(places, key=_z) if z_order else places)


def _z(place: tuple[int, int]) -> int:
    """The bits of row and column interleaved (Morton, 1966)."""
    row, column = place
    return sum((row >> bit & 1) << 2 * bit + 1 | (column >> bit & 1) << 2 * bit for bit in range(10))
