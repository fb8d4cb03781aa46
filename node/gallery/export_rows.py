"""What an export says, whatever its format: checked row by row, for its writer is not to be believed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from node.gallery.errors import ExportError
from node.gallery.limits import TEXT_BYTES_MAX, VECTOR_BYTES

NUMBER_MAX: Final = (1 << 53) - 1
_SPACE: Final = re.compile(r"deltamesh consensus, (?:raw|epoch (\d{1,15}))")


@dataclass(frozen=True, slots=True)
class ExportedRow:
    """One row: an item and its vector, 4,096 bytes."""

    item_id: bytes
    text: str | None
    round: int
    shard: int
    space_epoch: int
    vector: bytes


@runtime_checkable
class ExportFile(AbstractContextManager["ExportFile"], Protocol):
    """An export that is being read."""

    @property
    def network_id(self) -> bytes | None:
        """Of the network it says it is of."""

    @property
    def space(self) -> int | None:
        """The epoch that shaped its vectors; None for raw ones."""

    @property
    def modality(self) -> str:
        """Of its items."""

    @property
    def rows(self) -> int | None:
        """How many it says it has, where it does."""

    def parts(self, start: int, rows_max: int) -> Iterator[list[ExportedRow]]:
        """Its rows from number `start` on, so many at a time. Raises ExportError."""


@dataclass(frozen=True, slots=True)
class ExportHead:
    """What an export says of all its rows."""

    network_id: bytes | None
    space: int | None
    modality: str


def head_of(path: Path, metadata: Mapping[str, object]) -> ExportHead:
    """What an export's metadata say. Raises ExportError where they do not name the space of its vectors."""
    space = metadata.get("space")
    found = _SPACE.fullmatch(space) if isinstance(space, str) else None
    if found is None:
        raise ExportError(
            f"{path} does not say in which space its vectors lie, and those of different spaces cannot be "
            "compared: "
            "write it with `deltamesh embeddings export`"
        )
    network = metadata.get("network_id")
    if network is not None and not (isinstance(network, str) and re.fullmatch(r"[0-9a-f]{64}", network)):
        raise ExportError(f"{path} names its network by something else than 64 hexadecimal digits")
    modality = metadata.get("modality", "text")
    if not isinstance(modality, str) or not re.fullmatch(r"[a-z]{1,32}", modality):
        raise ExportError(f"{path} names no modality, but {str(modality)[:40]!r}")
    return ExportHead(
        None if network is None else bytes.fromhex(network),
        None if found[1] is None else int(found[1]),
        modality,
    )


def checked_row(
    where: str,
    head: ExportHead,
    item: object,
    text: object,
    numbers: Mapping[str, object],
    vector: bytes,
) -> ExportedRow:
    """A row whose parts have their types and sizes. Raises ExportError, saying which has not, and where."""
    if not isinstance(item, str) or not re.fullmatch(r"[0-9a-f]{64}", item):
        raise ExportError(f"{where}: its item_id is not 64 hexadecimal digits")
    if text is not None and (not isinstance(text, str) or len(text) > TEXT_BYTES_MAX):
        raise ExportError(f"{where}: its text is none, or longer than any item's")
    whole: dict[str, int] = {}
    for name, number in numbers.items():
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= NUMBER_MAX:
            raise ExportError(f"{where}: its {name} is no whole number from 0 on")
        whole[name] = number
    epoch = whole["space_epoch"]
    if head.space is not None and epoch != head.space:
        raise ExportError(
            f"{where}: it lies in space epoch {epoch}, the file in epoch {head.space}: no two spaces can "
            "be compared"
        )
    if len(vector) != VECTOR_BYTES:
        raise ExportError(f"{where}: its vector has {len(vector) // 4:,} numbers, not {VECTOR_BYTES // 4:,}")
    return ExportedRow(bytes.fromhex(item), text, whole["round"], whole["shard"], epoch, vector)
