"""One request to an ASGI application, without a server: any method, path, header and body one likes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOST = (b"host", b"127.0.0.1:7780")
JSON = (b"content-type", b"application/json")
Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Answered:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        """The error of a refusal, which has the form all have."""
        (name, detail), *others = json.loads(self.body).items()
        assert name == "error"
        assert not others
        assert set(detail) == {"message", "type", "param", "code"}
        found: dict[str, Any] = detail
        return found


@dataclass
class Inner:
    """An application that notes what reaches it and answers 200."""

    scopes: list[Scope] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        self.scopes.append(scope)
        self.bodies.append(message.get("body", b""))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


def scope_of(
    method: str = "GET",
    path: bytes = b"/v1/status",
    headers: Headers = (HOST,),
    *,
    query: bytes = b"",
    client: str = "127.0.0.1",
    version: str = "1.1",
) -> Scope:
    """The scope of a request as uvicorn makes it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": version,
        "method": method,
        "scheme": "http",
        "path": path.decode("latin-1"),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": list(headers),
        "client": (client, 50_000),
        "server": ("127.0.0.1", 7_780),
        "state": {},
    }


async def asked(app: ASGIApp, scope: Scope, parts: Sequence[bytes] = (b"",)) -> Answered:
    """The answer to a request whose body comes in parts; then the client is gone."""
    waiting = [
        {"type": "http.request", "body": part, "more_body": n < len(parts)} for n, part in enumerate(parts, 1)
    ]
    told: list[Message] = []

    async def receive() -> Message:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        told.append(message)

    await app(scope, receive, send)
    assert [message["type"] for message in told[:1]] == ["http.response.start"]
    assert all(message["type"] == "http.response.body" for message in told[1:])
    headers = {name.decode().lower(): value.decode() for name, value in told[0]["headers"]}
    return Answered(told[0]["status"], headers, b"".join(message["body"] for message in told[1:]))


def ask(app: ASGIApp, scope: Scope, parts: Sequence[bytes] = (b"",)) -> Answered:
    """The same, on a loop of its own."""
    return asyncio.run(asked(app, scope, parts))


def post(path: bytes, body: bytes, *headers: tuple[bytes, bytes], client: str = "127.0.0.1") -> Scope:
    """The scope of a JSON body."""
    length = (b"content-length", b"%d" % len(body))
    return scope_of("POST", path, (HOST, JSON, length, *headers), client=client)
