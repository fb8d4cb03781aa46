"""One question to the API, and how its answer is read: the same for the sync and the async client."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeAlias, TypeVar

import msgspec

from node.client.errors import BY_STATUS, BadAnswerError, ServerError

T = TypeVar("T")

ANSWER_BYTES_MAX: Final = 16 << 20
"""Of a JSON answer; raw bodies name their own bound."""
ERROR_BYTES_MAX: Final = 64 << 10
_SHOWN: Final = 500
"""Characters of a server's sentence that are shown."""


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request, and the reader of its body; `read` raises BadAnswerError."""

    method: str
    path: str
    read: Callable[[bytes], T]
    params: Mapping[str, str | int] = field(default_factory=dict)
    body: object = None
    """Sent as JSON; None: without a body."""
    headers: Mapping[str, str] = field(default_factory=dict)
    bytes_max: int = ANSWER_BYTES_MAX
    timeout_s: float | None = None
    """For the whole answer; None: the client's."""
    repeatable: bool = True
    """Whether it may be asked again after a connection broke: asking twice does what asking once does."""


@dataclass(frozen=True)
class Work(Generic[T]):
    """A computation or file access too long for an event loop."""

    run: Callable[[], T]


Flow: TypeAlias = Generator[Call[Any] | Work[Any], Any, T]
"""Several calls that depend on each other, without I/O: yields what is to do, is sent what came of it."""


def ask(step: Call[T] | Work[T]) -> Flow[T]:
    """One step of a flow: `answer = yield from ask(call)`."""
    answer: T = yield step
    return answer


def json_of(kind: type[T]) -> Callable[[bytes], T]:
    """A reader of JSON of one shape; fields it does not know are passed over, so that servers may grow."""
    name = getattr(kind, "__name__", "answer")

    def read(data: bytes) -> T:
        try:
            return msgspec.json.decode(data, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadAnswerError(
                f"the answer is no {name} ({error}): is this the API of a deltamesh validator, "
                "of this release?"
            ) from None

    return read


def raw(data: bytes) -> bytes:
    """A reader of bodies that are checked elsewhere."""
    return data


class _Told(msgspec.Struct, frozen=True):
    message: str = ""
    type: str = ""
    param: str | None = None
    code: str | int | None = None


class _ErrorBody(msgspec.Struct, frozen=True):
    error: _Told


def refusal(status: int, data: bytes, retry_after_s: float | None) -> ServerError:
    """The error a response that is no success stands for, whatever its body."""
    try:
        told = msgspec.json.decode(data, type=_ErrorBody).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        told = _Told()
    kind = BY_STATUS.get(status, ServerError)
    said = printable(told.message[:_SHOWN]) or "it says no more; is this the API of a deltamesh validator?"
    return kind(
        f"the server answers {status}: {said}",
        status=status,
        type=told.type,
        param=told.param,
        code=None if told.code is None else str(told.code),
        retry_after_s=retry_after_s,
    )


def printable(text: str) -> str:
    """A server's text without what would steer a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)
