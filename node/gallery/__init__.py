"""Galleries: published consensus embeddings kept to be searched, in one space at a time."""

from __future__ import annotations

from node.gallery.backend import FilledItems, Method, SearchedItems, Shortlist
from node.gallery.entries import Added, Entry, Origin, StoredItem
from node.gallery.errors import (
    ExportError,
    GalleryError,
    GalleryStorageError,
    MixedSpacesError,
    ProbeError,
)
from node.gallery.items_table import Selection
from node.gallery.probes import LocalModel, Term
from node.gallery.query import Answer, Neighbour, Query, query
from node.gallery.spaces_table import Gallery

__all__ = [
    "Added",
    "Answer",
    "Entry",
    "ExportError",
    "FilledItems",
    "Gallery",
    "GalleryError",
    "GalleryStorageError",
    "LocalModel",
    "Method",
    "MixedSpacesError",
    "Neighbour",
    "Origin",
    "ProbeError",
    "Query",
    "SearchedItems",
    "Selection",
    "Shortlist",
    "StoredItem",
    "Term",
    "query",
]
