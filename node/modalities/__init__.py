"""Images, sound, series and raw bytes: from a user's files to canonical items, and from views to models."""

from __future__ import annotations

from node.modalities.views import ModelView, decode_view

__all__ = ["ModelView", "decode_view"]
