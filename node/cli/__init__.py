"""The command line. Importing it loads nothing heavy: every command imports what it needs."""

from __future__ import annotations

from node.cli.app import app, main

__all__ = ["app", "main"]
