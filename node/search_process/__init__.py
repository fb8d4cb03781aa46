"""Search in a process of its own: it must not hold up the node's loop."""

from __future__ import annotations

from node.search_process.client import SearchProcess
from node.search_process.errors import (
    SearchBusyError,
    SearchError,
    SearchRefusedError,
    SearchUnavailableError,
)
from node.search_process.wire import Drawn, Find, Found, Hit, Point, Projection, Reason, SearchSetup

__all__ = [
    "Drawn",
    "Find",
    "Found",
    "Hit",
    "Point",
    "Projection",
    "Reason",
    "SearchBusyError",
    "SearchError",
    "SearchProcess",
    "SearchRefusedError",
    "SearchSetup",
    "SearchUnavailableError",
]
