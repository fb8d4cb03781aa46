"""Lists that a server gives a page at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, TypeVar

from node.client import answers, calls
from node.client.call import Call, Flow, ask
from node.client.errors import BadAnswerError
from node.status import PeerStatus

P = TypeVar("P")
T = TypeVar("T")
C = TypeVar("C", int, str)

PAGE: Final = 100
ENTRIES_MAX: Final = 1 << 20
"""Of a list that is gathered whole: more members than a network can have."""


@dataclass(frozen=True)
class Pages(Generic[P, T, C]):
    """A list, asked for page by page from a cursor on."""

    call: Callable[[C | None], Call[P]]
    entries: Callable[[P], tuple[T, ...]]
    following: Callable[[P], C | None]
    """Where the next page begins; None on the last."""
    falls: bool
    """Whether cursors fall from page to page; else they rise."""

    def after(self, page: P, cursor: C | None) -> C | None:
        """The next cursor. Raises BadAnswerError where pages would not end."""
        following = self.following(page)
        if following is None or not self.entries(page):
            return None
        if cursor is not None and (following >= cursor if self.falls else following <= cursor):
            raise BadAnswerError("the pages of the answer go round in a circle")
        return following

    def gather(self) -> Flow[tuple[T, ...]]:
        """All entries, ENTRIES_MAX at most."""
        found: list[T] = []
        cursor: C | None = None
        while True:
            page = yield from ask(self.call(cursor))
            found += self.entries(page)
            cursor = self.after(page, cursor)
            if cursor is None or len(found) >= ENTRIES_MAX:
                return tuple(found)


ROUNDS: Final = Pages[answers.RoundPage, answers.Round, int](
    partial(calls.rounds, PAGE), lambda page: page.rounds, lambda page: page.next_before, True
)
EPOCHS: Final = Pages[answers.EpochPage, answers.Epoch, int](
    partial(calls.epochs, PAGE), lambda page: page.epochs, lambda page: page.next_before, True
)
EVIDENCE: Final = Pages[answers.EvidencePage, answers.Evidence, int](
    partial(calls.evidence, PAGE), lambda page: page.evidence, lambda page: page.next_before, True
)
ENCODERS: Final = Pages[answers.EncoderPage, answers.Encoder, str](
    partial(calls.encoders, PAGE), lambda page: page.encoders, lambda page: page.next_after, False
)
VALIDATORS: Final = Pages[answers.ValidatorPage, answers.Validator, str](
    partial(calls.validators, PAGE), lambda page: page.validators, lambda page: page.next_after, False
)
PEERS: Final = Pages[answers.PeerPage, PeerStatus, str](
    partial(calls.peers, PAGE), lambda page: page.peers, lambda page: page.next_after, False
)


def disputes_of(round_: int | None) -> Pages[answers.DisputePage, answers.Dispute, int]:
    """Disputes of one round, or of all."""
    return Pages(
        partial(calls.disputes, round_, PAGE), lambda page: page.disputes, lambda page: page.next_before, True
    )


def newest_rounds(last: int) -> Flow[tuple[answers.Round, ...]]:
    """The shards of the `last` newest rounds, newest first."""
    found: list[answers.Round] = []
    numbers: set[int] = set()
    cursor: int | None = None
    while True:
        page = yield from ask(ROUNDS.call(cursor))
        for one in ROUNDS.entries(page):
            if one.round not in numbers and len(numbers) == last:
                return tuple(found)
            numbers.add(one.round)
            found.append(one)
        cursor = ROUNDS.after(page, cursor)
        if cursor is None:
            return tuple(found)
