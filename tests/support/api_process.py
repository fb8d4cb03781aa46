"""A real API process over a data directory of certified rounds, told by a test instead of a node."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
import trio

from config.datadir import DataDir
from config.genesis import save_genesis
from config.settings import load_settings
from node.api.running import ApiState
from node.api.server import address_of, bind
from node.api_process.client import ApiProcess
from node.network.counters import Counters
from node.store import Store
from tests.support.api import NETWORK, status_of
from tests.support.certified_history import certified_history, record

PATIENCE_S = 110.0
"""Far above what starting takes: who waits so long was forgotten."""
LOOK_EVERY_S = 0.02


@dataclass(frozen=True)
class Heard:
    """One event, as it came."""

    id: int
    kind: str
    data: dict[str, Any]


class Listening:
    """A listener to server-sent events."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._text = b""

    async def begun(self) -> None:
        """Wait until it is a listener: what is told from now on is heard."""
        while b"retry: " not in self._text:
            self._text += await self._stream.receive_some()
        assert self._text.startswith(b"HTTP/1.1 200"), self._text
        self._text = self._text.partition(b"\r\n\r\n")[2]

    async def events(self, count: int, kind: str = "") -> list[Heard]:
        """The next events, of one kind where it is given."""
        found: list[Heard] = []
        while len(found) < count:
            end = self._text.find(b"\n\n")
            if end < 0:
                more = await self._stream.receive_some()
                assert more, "the stream ended"
                self._text += more
                continue
            lines, self._text = self._text[:end].split(b"\n"), self._text[end + 2 :]
            told = dict(line.split(b": ", 1) for line in lines if b": " in line)
            if b"id" in told and (not kind or told[b"event"] == kind.encode()):
                found.append(Heard(int(told[b"id"]), told[b"event"].decode(), json.loads(told[b"data"])))
        return found

    async def rest(self) -> bytes:
        """What comes until the stream ends."""
        while more := await self._stream.receive_some():
            self._text += more
        return self._text


@dataclass
class Rig:
    """The process, and what its node would tell it."""

    state: ApiState
    process: ApiProcess
    address: str
    counters: Counters
    nursery: trio.Nursery

    @property
    def place(self) -> tuple[str, int]:
        """Host and port."""
        host, port = self.address.rsplit(":", 1)
        return host, int(port)

    async def get(self, path: str) -> tuple[int, bytes]:
        """An answer: status and body."""
        return await trio.to_thread.run_sync(get, self.address, path)

    @asynccontextmanager
    async def listening(self, last_id: int | None = None) -> AsyncIterator[Listening]:
        """One who listens to events."""
        known = "" if last_id is None else f"Last-Event-ID: {last_id}\r\n"
        async with await trio.open_tcp_stream(*self.place) as stream:
            await stream.send_all(f"GET /v1/events HTTP/1.1\r\nHost: {self.address}\r\n{known}\r\n".encode())
            listening = Listening(stream)
            await listening.begun()
            yield listening

    async def pid(self, other_than: int | None = None) -> int:
        """Of the process, once one serves."""
        # Nothing tells a test of a process that has begun.
        while (found := self.process.pid) is None or found == other_than:  # noqa: ASYNC110
            await trio.sleep(LOOK_EVERY_S)
        return found


def get(address: str, path: str) -> tuple[int, bytes]:
    """An answer: status and body."""
    host, port = address.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@asynccontextmanager
async def api_process(root: Path) -> AsyncIterator[Rig]:
    """The process over a history; it is stopped in order with the block."""
    history = certified_history()
    directory = DataDir.open(root, NETWORK)
    save_genesis(directory.genesis, history.genesis)
    with Store.open(directory.store, directory.blobs) as store:
        for fact in history.facts:
            record(store, history, fact)
    settings = load_settings({"home": root, "network": NETWORK}, environment={})
    counters = Counters()
    state = ApiState(counters)
    state.tell(status_of(history))
    listening = bind("127.0.0.1:0")
    address = address_of(listening)
    process = ApiProcess(
        listening, settings.model_dump_json().encode(), history.genesis.data, state.feed, state.wake
    )
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(process.run, f"http://{address}")
            yield Rig(state, process, address, counters, nursery)
            nursery.cancel_scope.cancel()


async def _be_a_node(root: Path) -> None:
    """Say the process and its address, and go on until killed."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    async with api_process(root) as rig:
        assert (await rig.get("/healthz"))[0] == 200
        host, port = rig.place
        sys.stdout.write(f"{await rig.pid()} {host} {port}\n")
        sys.stdout.flush()
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(_be_a_node, Path(sys.argv[1]))
