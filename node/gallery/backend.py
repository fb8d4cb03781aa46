"""What a search needs of its storage: the seams at which another one takes the place of SQLite and files.

`SearchedItems` and `FilledItems` are who keeps raw certified vectors and their facts; `Gallery` does today.
A `Shortlist` names candidates among the vectors placed in one space, which are then ranked exactly: an index
over them, wherever it lies. ADR 0024 says why the two are apart: with every epoch the space is another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from node.gallery.database import GalleryFacts
from node.gallery.entries import Added, Entry, StoredItem
from node.gallery.items_table import Selection, VectorRows


class Method(StrEnum):
    """How the neighbours were found."""

    EXACT = "exact"
    INDEX = "index"
    """Candidates by an index, ranked exactly."""
    SIGNS = "signs"
    """Candidates by their signs, ranked exactly."""


class Shortlist(Protocol):
    """Candidates for the nearest among the placed vectors of one space."""

    @property
    def method(self) -> Method:
        """As answers name it."""

    @property
    def recall(self) -> float:
        """Share of the ten nearest among the candidates, measured on these vectors."""

    def candidates(
        self, probe: npt.NDArray[np.float32], k: int, allowed: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.int64]:
        """Allowed places, ascending, more than k, that probably hold the k nearest to the probe [D]."""


class SearchedItems(Protocol):
    """Items to be searched. A row number names one vector for ever: another vector has another number."""

    @property
    def path(self) -> Path:
        """Beside which the cache lies."""

    def facts(self) -> GalleryFacts:
        """Whose items these are, and a generation that grows with every change of the vectors."""

    def item(self, item_id: bytes) -> StoredItem | None:
        """One item."""

    def items_beginning(self, prefix: str, limit: int = 2) -> list[StoredItem]:
        """The first items whose id begins with these hexadecimal digits."""

    def items_of(self, selection: Selection, limit: int, after: bytes = b"") -> list[StoredItem]:
        """The first selected items after an id, by id."""

    def items_at(self, rows: Sequence[int]) -> dict[int, StoredItem]:
        """Items by row; a row that was removed is missing."""

    def collections_of(self, rows: Sequence[int]) -> dict[int, list[str]]:
        """The collections each item is in, by row."""

    def rows(self, selection: Selection) -> npt.NDArray[np.int64]:
        """Rows of the selected items, ascending."""

    def newest_rows(self, limit: int) -> npt.NDArray[np.int64]:
        """Rows of the items of the latest rounds, those first."""

    def kinds(self, selection: Selection) -> list[tuple[int | None, int | None, int]]:
        """How many of the selected items have which (space, epoch)."""

    def vectors_after(self, row: int, to_row: int | None = None) -> Iterator[VectorRows]:
        """The vectors of all rows in (row, to_row], ascending, a bounded number at a time."""

    def vector_rows(self, rows: Sequence[int]) -> VectorRows:
        """The vectors of some rows, ascending; rows that were removed are missing."""

    def spaces(self) -> list[int]:
        """The epochs whose moments are here, newest first."""

    def centred_epochs(self) -> dict[int, bool]:
        """Which epochs' vectors are centred."""

    def moments_digest(self, epoch: int) -> bytes | None:
        """The content digest of an epoch's canonical moments; None where they are not here."""

    def moments(self, epoch: int) -> bytes | None:
        """The canonical moments of an epoch."""


class FilledItems(SearchedItems, Protocol):
    """Items that are added as rounds are certified. Each call is all done, or not at all."""

    def bind(self, network_id: bytes, modality: str) -> None:
        """Say whose vectors these are: the first call decides, others must agree."""

    def add(self, collection: str, entries: Sequence[Entry], name: str = "", rows: int = 0) -> Added:
        """Add entries within quotas; of two vectors of one item the better stays."""

    def take_whole(self, collection: str, name: str, rows: int) -> None:
        """Remember that all of a round was added."""

    def taken_names(self, collection: str) -> set[str]:
        """All that was added whole, by name."""

    def learn_epochs(self, centred: Mapping[int, bool]) -> None:
        """Remember which epochs' vectors are centred."""

    def learn_space(self, epoch: int, moments: bytes) -> None:
        """Remember an epoch's moments; the newest few stay."""

    def remove(self, selection: Selection) -> int:
        """Take the selected items out; how many."""
