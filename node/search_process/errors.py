"""What can go wrong with a search: it is refused, it is not its turn, or there is no search here."""

from __future__ import annotations

from node.search_process.wire import Reason


class SearchError(Exception):
    """A search gave no answer; the message says why and what to do."""


class SearchRefusedError(SearchError):
    """What was asked cannot be answered, now or later."""

    def __init__(self, message: str, reason: Reason) -> None:
        super().__init__(message)
        self.reason = reason


class SearchBusyError(SearchError):
    """Too many searches wait: ask again in a moment."""


class SearchUnavailableError(SearchError):
    """The search process does not run, or its files cannot be used: the operator has to look."""
