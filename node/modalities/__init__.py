"""Images, sound, series and raw bytes: from a user's files to canonical items, and from views to models."""

from __future__ import annotations

from node.modalities.file_door import FileError, TooManyItems
from node.modalities.files import items_of_file
from node.modalities.load import load_challenge_items, load_items
from node.modalities.samples import Part, sample_items
from node.modalities.source import Loading
from node.modalities.views import ModelView, decode_view

__all__ = [
    "FileError",
    "Loading",
    "ModelView",
    "Part",
    "TooManyItems",
    "decode_view",
    "items_of_file",
    "load_challenge_items",
    "load_items",
    "sample_items",
]
