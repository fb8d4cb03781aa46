"""What goes wrong in training, in words for who trains."""

from __future__ import annotations


class TrainingError(Exception):
    """A model cannot be trained, read or written; the message says why and what to do."""
