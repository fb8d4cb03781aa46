"""Embeddings, asked for until they are certified: once for both clients, without I/O."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from node.client import calls
from node.client.answers import EmbeddedItem, EmbeddingList, Job, vector_of
from node.client.call import Flow, Work, ask, printable
from node.client.errors import BadAnswerError, ClientError, NotFoundError, TimedOutError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from node.client.verification import VerifiedItem

    Vectors = npt.NDArray[np.float32]

MODEL: Final = "deltamesh"
TIMEOUT_S: Final = 600.0
"""An embedding waits for a round to be certified, or for several where the queue is long."""
TEXTS_PER_CALL: Final = 256
TEXT_CHARS_PER_CALL: Final = 256 << 10
"""Servers bound the size of a request."""
FILES_PER_CALL: Final = 64
FILE_CHARS_PER_CALL: Final = 1 << 20
"""Of base64; a larger file has a call to itself."""
WAIT_S: Final = 5
"""The first call waits so long for a certificate; then its job is asked how far it is."""
POLL_S: Final = 0.5
_SPACES_TRIED: Final = 3


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of some texts, in their order, all in one space."""

    vectors: Vectors
    """[n, 1024] float32, unit norm: the shaped consensus."""
    items: tuple[EmbeddedItem, ...]
    """Of each its id, round, and the certificate's id."""
    network_id: str
    space: str
    epoch: int
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
"""Told (texts certified, texts in all) as often as it is asked."""


def embed(
    texts: Sequence[str],
    model: str,
    timeout_s: float,
    on_embedded: OnEmbedded | None = None,
    what: Literal["text", "file"] = "text",
) -> Flow[Embeddings]:
    """Embed texts, or files in base64, in as many calls as they need. Raises ClientError."""
    if isinstance(texts, str):
        raise ClientError("embed takes a list of texts: put this one into a list")
    if not texts:
        raise ClientError(f"there is nothing to embed: give at least one {what}")
    ends_s = (yield from ask(Work(time.monotonic))) + timeout_s
    if what == "text":
        parts = _parts(texts, TEXTS_PER_CALL, TEXT_CHARS_PER_CALL)
    else:
        parts = _parts(texts, FILES_PER_CALL, FILE_CHARS_PER_CALL)
    done = [0] * len(parts)

    def tell(number: int, certified: int) -> None:
        done[number] = certified
        if on_embedded is not None:
            on_embedded(min(sum(done), len(texts)), len(texts))

    # An epoch may begin meanwhile, and with it a new space: by then all are repeats, and served at once.
    for _ in range(_SPACES_TRIED):
        first: list[EmbeddingList | Job] = []
        for part in parts:
            # Of several all are queued before the first is waited for: one round may take them all.
            first.append((yield from ask(calls.embed(part, model, WAIT_S if len(parts) == 1 else 0))))
        found: list[EmbeddingList] = []
        for number, part in enumerate(parts):
            answer = yield from _awaited(first[number], part, model, ends_s, partial(tell, number))
            found.append(_checked(answer, len(part)))
            tell(number, len(part))
        if len({one.deltamesh.space for one in found}) == 1:
            return _joined(found)
    raise ClientError("the network's space changes faster than the texts are embedded: ask for fewer")


def _parts(texts: Sequence[str], per_call: int, chars_per_call: int) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    characters = 0
    for text in texts:
        if parts[-1] and (len(parts[-1]) == per_call or characters + len(text) > chars_per_call):
            parts.append([])
            characters = 0
        parts[-1].append(text)
        characters += len(text)
    return parts


def _awaited(
    answer: EmbeddingList | Job,
    texts: Sequence[str],
    model: str,
    ends_s: float,
    tell: Callable[[int], None],
) -> Flow[EmbeddingList]:
    while isinstance(answer, Job):
        if answer.response is not None:
            return answer.response
        tell(min(answer.done, len(texts)))
        if answer.status == "failed":
            said = printable(str((answer.error or {}).get("message", "it does not say why"))[:500])
            raise ClientError(f"the texts cannot be embedded: {said}")
        if (yield from ask(Work(time.monotonic))) > ends_s:
            raise TimedOutError(
                f"{answer.done} of {answer.total} texts were certified in time; nothing is lost: they are "
                "queued and will be, ask for the same again"
            )
        yield from ask(Work(partial(time.sleep, POLL_S)))
        try:
            answer = yield from ask(calls.job(answer.id))
        except NotFoundError:
            # A server keeps so many jobs and no more; the same request makes it anew.
            answer = yield from ask(calls.embed(texts, model, 0))
    return answer


def _checked(answer: EmbeddingList, count: int) -> EmbeddingList:
    if sorted(one.index for one in answer.data) != list(range(count)):
        raise BadAnswerError(f"{len(answer.data)} vectors came for {count} texts, or not one for each")
    if len(answer.deltamesh.items) != count:
        raise BadAnswerError(f"{len(answer.deltamesh.items)} items are named for {count} texts")
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
