"""Every bound of a gallery, in one place."""

from __future__ import annotations

from typing import Final

DIMENSIONS: Final = 1024
VECTOR_BYTES: Final = 4 * DIMENSIONS
"""Float32, little endian."""

FILE_BYTES_MAX: Final = 16 << 30
"""The gallery's file; beyond it adding raises GalleryFull. A million items take 5 to 6 GB."""
COLLECTIONS_MAX: Final = 256
COLLECTION_NAME: Final = r"[a-z0-9][a-z0-9._-]{0,63}"
COLLECTION_ITEMS_MAX: Final = 1_000_000
"""Items of a collection, unless it is told otherwise."""
SOURCE_ITEMS_MAX: Final = 100_000
"""Items of a collection that came from one source, unless it is told otherwise: nobody fills it alone."""
QUOTA_MAX: Final = 10_000_000
SOURCE_CHARACTERS: Final = 128
PREVIEW_CHARACTERS: Final = 1_024
"""Kept of a text, to be shown."""
NORM_MIN: Final = 1e-6
"""A shorter vector has no direction."""
NORM_MAX: Final = 1.01
"""No mean of unit vectors is longer than 1, but for rounding."""

BATCH_ROWS: Final = 1_024
"""Rows held in memory at a time while adding and placing: 4 MiB of vectors."""
SPACES_KEPT: Final = 4
"""Newest epochs whose moments, 4.2 MB each, a gallery keeps."""
CACHED_SPACES: Final = 2
"""Spaces in which all vectors are kept placed beside the gallery: as large as its vectors, each."""

NEIGHBOURS_MAX: Final = 1_000
TERMS_MAX: Final = 32
"""Words and texts of one piece of vector arithmetic."""
INDEX_ROWS_MIN: Final = 100_000
"""More vectors than this are searched by an index."""

EXPORT_ROWS_MAX: Final = 10_000_000
EXPORT_LINE_BYTES_MAX: Final = 1 << 18
TEXT_BYTES_MAX: Final = 1 << 16
"""Of one item's text in an export: no canonical item is longer than 8 KiB."""
EXPORT_MEMORY_BYTES_MAX: Final = 2 << 30
"""What reading a Parquet file may take, in a process of its own."""
