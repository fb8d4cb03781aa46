"""What takes several calls, written once for both clients: nothing here does I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from node.client import calls
from node.client.answers import EmbeddedItem, EmbeddingList, Round, vector_of
from node.client.call import Flow, ask
from node.client.errors import BadAnswerError, ClientError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from node.client.verification import VerifiedItem

    Vectors = npt.NDArray[np.float32]

TEXTS_PER_CALL: Final = 256
"""More are asked for in several calls, so that no answer is late for the sake of the last text."""
PAGE_ROUNDS: Final = 100
MODEL: Final = "deltamesh"
_SPACES_TRIED: Final = 3


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of some texts, in their order, all in one space."""

    vectors: Vectors
    """[n, 1024] float32, unit norm: the shaped consensus."""
    items: tuple[EmbeddedItem, ...]
    """Of each its id, round, and the certificate's id."""
    network_id: str
    space: str | int
    epoch: int | None
    """Whose transform shaped them."""
    model: str
    verified: tuple[VerifiedItem, ...] = ()
    """One a text where they were verified, else none."""

    def checked(self, verified: tuple[VerifiedItem, ...], network_id: str) -> Embeddings:
        """The same, verified. Raises BadAnswerError where they name another network than the one trusted."""
        if self.network_id != network_id:
            raise BadAnswerError("the answer names another network than the one you trust")
        return replace(self, verified=verified)


OnEmbedded = Callable[[int, int], None]
"""Told (texts done, texts in all)."""


def embed(texts: Sequence[str], model: str, on_embedded: OnEmbedded | None = None) -> Flow[Embeddings]:
    """Embed texts in as many calls as they need. Raises ClientError."""
    if isinstance(texts, str):
        raise ClientError("embed takes a list of texts: put this one into a list")
    if not texts:
        raise ClientError("there is nothing to embed: give at least one text")
    parts = [texts[start : start + TEXTS_PER_CALL] for start in range(0, len(texts), TEXTS_PER_CALL)]
    found: dict[int, EmbeddingList] = {}
    newest: str | int = ""
    # An epoch may begin between two calls, and with it a new space; what was asked before is then a repeat,
    # and served at once in the new one.
    for _ in range(_SPACES_TRIED):
        for number, part in enumerate(parts):
            if number in found and found[number].deltamesh.space == newest:
                continue
            found[number] = yield from _embed_part(part, model)
            newest = found[number].deltamesh.space
            if on_embedded is not None:
                on_embedded(min(len(found) * TEXTS_PER_CALL, len(texts)), len(texts))
        if len({one.deltamesh.space for one in found.values()}) == 1:
            return _joined([found[number] for number in range(len(parts))])
    raise ClientError(
        "the network's space changes faster than the texts are embedded: ask for fewer at a time"
    )


def _embed_part(texts: Sequence[str], model: str) -> Flow[EmbeddingList]:
    answer = yield from ask(calls.embed(texts, model))
    if sorted(one.index for one in answer.data) != list(range(len(texts))):
        raise BadAnswerError(f"{len(answer.data)} vectors came for {len(texts)} texts, or not one for each")
    if len(answer.deltamesh.items) != len(texts):
        raise BadAnswerError(f"{len(answer.deltamesh.items)} items are named for {len(texts)} texts")
    return answer


def _joined(answers: Sequence[EmbeddingList]) -> Embeddings:
    import numpy as np

    told = [one.embedding for answer in answers for one in sorted(answer.data, key=lambda one: one.index)]
    first = answers[0]
    if len({answer.deltamesh.network_id for answer in answers}) != 1:
        raise BadAnswerError("the answers name several networks")
    return Embeddings(
        np.stack([vector_of(one) for one in told]),
        tuple(item for answer in answers for item in answer.deltamesh.items),
        first.deltamesh.network_id,
        first.deltamesh.space,
        first.deltamesh.epoch,
        first.model,
    )


def rounds(last: int) -> Flow[list[Round]]:
    """The shards of the `last` newest rounds, newest first."""
    found: list[Round] = []
    numbers: set[int] = set()
    before: int | None = None
    while len(numbers) < last:
        page = yield from ask(calls.rounds(min(PAGE_ROUNDS, last - len(numbers)), before))
        found += page.rounds
        numbers |= {one.round for one in page.rounds}
        if page.next_before is None or not page.rounds:
            break
        before = checked_next(page.next_before, before)
    return found


def checked_next(next_before: int, before: int | None) -> int:
    """Where the next page begins. Raises BadAnswerError where pages would not end."""
    if before is not None and next_before >= before:
        raise BadAnswerError("the pages of the answer go round in a circle")
    return next_before
