"""What every plot that a command draws has in common: it is dark where its reader's system is."""

from __future__ import annotations

from typing import Final

DARK_STYLE: Final = """\
  @media (prefers-color-scheme: dark) { svg { filter: invert(.91) hue-rotate(180deg) } }
"""
"""Ends a style: turns light and dark about and leaves hues as they are, so that legends stay true."""
