"""What the pages of a Parquet file say of their sizes, read before anything is decompressed.

A reader allocates what a page's header says and decompresses into it; a page of a few kilobytes may say two
gigabytes. The headers are structures of Thrift's compact protocol, of which this reads integers and nested
structures and passes over the rest (parquet.thrift, PageHeader; Thrift, compact protocol).
"""

from __future__ import annotations

from typing import BinaryIO, Final, NamedTuple, TypeAlias

PAGE_BYTES_MAX: Final = 64 << 20
"""Uncompressed; writers make pages of one megabyte."""
_HEADER_BYTES_MAX: Final = 1 << 16
_DEPTH_MAX: Final = 8
_UNCOMPRESSED, _COMPRESSED = 2, 3
_WITH_VALUES: Final = (5, 7, 8)
"""Headers of data pages, dictionary pages and data pages of version 2: field 1 of each counts values."""
_DICTIONARY: Final = 7

_Struct: TypeAlias = "dict[int, int | _Struct]"


class PageTotals(NamedTuple):
    """What the pages of a column chunk promise together."""

    uncompressed_bytes: int
    values: int
    """Of data pages; a dictionary's count once, however often they are used."""


class PageError(ValueError):
    """A page header is damaged, or promises more than is read."""


def check_pages(file: BinaryIO, start: int, size_bytes: int, values_max: int) -> PageTotals:
    """What the pages of a column chunk promise. Raises PageError where one is over the bounds."""
    place, end = start, start + size_bytes
    total_bytes = total_values = 0
    while place < end:
        file.seek(place)
        cursor = _Cursor(file.read(min(_HEADER_BYTES_MAX, end - place)))
        header = cursor.struct(_DEPTH_MAX)
        uncompressed, compressed = header.get(_UNCOMPRESSED), header.get(_COMPRESSED)
        if not isinstance(uncompressed, int) or not isinstance(compressed, int):
            raise PageError(f"the page at byte {place} does not say how large it is")
        if not 0 <= uncompressed <= PAGE_BYTES_MAX:
            raise PageError(f"the page at byte {place} says that it unpacks to {uncompressed:,} bytes")
        for field in _WITH_VALUES:
            counted = header.get(field)
            values = counted.get(1) if isinstance(counted, dict) else None
            if isinstance(values, int) and not 0 <= values <= values_max:
                raise PageError(f"the page at byte {place} says that it has {values:,} values")
            if field != _DICTIONARY:
                total_values += values if isinstance(values, int) else 0
        if compressed < 0 or place + cursor.place + compressed > end:
            raise PageError(f"the page at byte {place} ends beyond its column")
        place += cursor.place + compressed
        total_bytes += uncompressed
    return PageTotals(total_bytes, total_values)


class _Cursor:
    """A place in a buffer of Thrift's compact protocol."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.place = 0

    def struct(self, depth: int) -> _Struct:
        """The integers and structures of a structure, by field."""
        if not depth:
            raise PageError("a page header is nested too deep")
        found: _Struct = {}
        field = 0
        while lead := self._byte():
            delta, kind = lead >> 4, lead & 15
            field = field + delta if delta else self._integer()
            value = self._value(kind, depth)
            if value is not None:
                found[field] = value
        return found

    def _value(self, kind: int, depth: int) -> int | _Struct | None:
        if kind in (1, 2):  # true, false
            return None
        if kind == 3:  # byte
            return self._byte()
        if kind in (4, 5, 6):  # i16, i32, i64
            return self._integer()
        if kind == 7:  # double
            self._skip(8)
            return None
        if kind == 8:  # binary
            self._skip(self._varint())
            return None
        if kind == 12:
            return self.struct(depth - 1)
        # No header holds lists, sets or maps.
        raise PageError(f"a page header has a field of kind {kind}")

    def _byte(self) -> int:
        if self.place >= len(self._data):
            raise PageError("a page header is cut off")
        self.place += 1
        return self._data[self.place - 1]

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise PageError("a page header has a number of more than 64 bits")

    def _integer(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)

    def _skip(self, size_bytes: int) -> None:
        if size_bytes > len(self._data) - self.place:
            raise PageError("a page header is cut off")
        self.place += size_bytes
