"""What the protocol knows of a modality: its canonical bytes, its units, and what is left when masked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

PPM: Final = 1_000_000

Span: TypeAlias = tuple[int, int]
"""Units start to stop - 1, in the order the modality counts them."""


class Modality(Protocol):
    """A kind of data a network embeds. Items and views have the same canonical form."""

    def __hash__(self) -> int:
        """It is part of the key of remembered plans."""

    @property
    def name(self) -> str:
        """As genesis names it."""

    @property
    def item_bytes_max(self) -> int:
        """Largest item, and with it the largest view."""

    @property
    def share_percent_max(self) -> int:
        """The largest share of its units that a mask takes."""

    @property
    def masks_keep_size(self) -> bool:
        """Whether masked units are replaced, so that a view is as large as its item; else they are gone."""

    @property
    def is_cut_in_two(self) -> bool:
        """Whether mask 0 may be one end of an item: what follows in it says more of what it is about."""

    def check(self, data: bytes) -> None:
        """Raise ItemError, saying what is wrong, where the bytes are not canonical."""

    def unit_sizes(self, data: bytes) -> Sequence[int]:
        """Of a canonical item, what every unit weighs in its share: bytes of text, 1 where all are alike."""

    def keep(self, data: bytes, spans: Sequence[Span]) -> bytes:
        """The view of a canonical item that shows only the units inside the spans, which are in order."""


@dataclass(frozen=True, slots=True)
class Units:
    """The units of one item, ready to be masked."""

    modality: Modality
    data: bytes
    sizes: Sequence[int]

    @classmethod
    def of(cls, modality: Modality, data: bytes) -> Units:
        """Of an item's bytes. Raises ItemError where they are not canonical."""
        modality.check(data)
        return cls(modality, data, modality.unit_sizes(data))

    def __len__(self) -> int:
        return len(self.sizes)

    def keep(self, spans: Sequence[Span]) -> bytes:
        """The view with the units inside the spans."""
        return self.modality.keep(self.data, spans)

    def share_ppm(self, spans: Iterable[Span]) -> int:
        """What the units inside the spans weigh of all, in ppm, floored."""
        return sum(sum(self.sizes[start:stop]) for start, stop in spans) * PPM // sum(self.sizes)


def spans_of(units: Iterable[int]) -> tuple[Span, ...]:
    """Ascending units as spans, apart and in order."""
    spans: list[Span] = []
    for unit in units:
        if spans and spans[-1][1] == unit:
            spans[-1] = (spans[-1][0], unit + 1)
        else:
            spans.append((unit, unit + 1))
    return tuple(spans)
