"""A real API process over a data directory of certified rounds, told by a test instead of a node."""

from __future__ import annotations

import http.client
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

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

PATIENCE_S = 60.0
"""Far above what starting takes: who waits so long was forgotten."""
LOOK_EVERY_S = 0.02


@dataclass
class Rig:
    """The process, and what its node would tell it."""

    state: ApiState
    process: ApiProcess
    address: str
    root: Path
    counters: Counters

    async def get(self, path: str) -> tuple[int, bytes]:
        """An answer: status and body."""
        return await trio.to_thread.run_sync(get, self.address, path)

    async def pid(self, other_than: int | None = None) -> int:
        """Of the process, once one runs."""
        while (found := self.process.pid) is None or found == other_than:
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
            yield Rig(state, process, address, root, counters)
            nursery.cancel_scope.cancel()
