"""The clients of `benchmarks.api_load`, a process of their own: listeners to events, and requests at a rate.

    python -m benchmarks.api_load_client 127.0.0.1:7780 --listeners 1000 --requests 200

Reads `on`, `off` and `end` from standard input; answers `off` with a line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from dataclasses import dataclass, field
from itertools import cycle
from typing import Final, cast

import uvloop

PATHS: Final = (
    "/v1/status",
    "/v1/rounds?limit=20",
    "/v1/encoders",
    "/v1/status",
    "/v1/rounds?limit=1",
    "/healthz",
    "/v1/validators",
    "/v1/epochs",
)
CONNECTIONS: Final = 16
CONNECTING_MAX: Final = 50


class Listener(asyncio.Protocol):
    """Counts the frames it hears."""

    frames = 0
    lost = 0

    def __init__(self, host: str) -> None:
        self._host = host
        self._closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are none of asyncio's classes.
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(f"GET /v1/events HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        Listener.frames += data.count(b"\nevent: ")

    def connection_lost(self, exc: Exception | None) -> None:
        Listener.lost += not self._closing

    def close(self) -> None:
        self._closing = True
        self.transport.close()


@dataclass
class Told:
    """What the requests came to."""

    seconds: list[float] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    late: int = 0
    """Requests that could not be sent at their time: every connection was busy."""


async def request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, path: str) -> str:
    """One request on a connection that stays open; its status."""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.partition(b":")[2])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length")
    )
    await reader.readexactly(length)
    return head[9:12].decode()


async def sender(host: str, due: asyncio.Queue[str], told: Told) -> None:
    """Send what is due on one connection."""
    reader, writer = await asyncio.open_connection(*host.split(":"))
    try:
        while True:
            path = await due.get()
            began_s = time.perf_counter()
            status = await request(reader, writer, host, path)
            told.seconds.append(time.perf_counter() - began_s)
            told.statuses[status] = told.statuses.get(status, 0) + 1
    finally:
        writer.close()


async def load(host: str, listeners: int, per_s: int, stop: asyncio.Event) -> dict[str, object]:
    """Listen and ask until told to stop."""
    loop, told = asyncio.get_running_loop(), Told()
    Listener.frames = Listener.lost = 0
    gate = asyncio.Semaphore(CONNECTING_MAX)

    async def listen() -> Listener:
        async with gate:
            _, protocol = await loop.create_connection(lambda: Listener(host), *host.split(":"))
            return protocol

    heard = await asyncio.gather(*(listen() for _ in range(listeners)))
    due: asyncio.Queue[str] = asyncio.Queue(CONNECTIONS * 4)
    senders = [asyncio.create_task(sender(host, due, told)) for _ in range(CONNECTIONS if per_s else 0)]
    paths, began_s, sent = cycle(PATHS), time.perf_counter(), 0
    while not stop.is_set():
        while per_s and sent < (time.perf_counter() - began_s) * per_s:
            sent += 1
            if due.full():
                told.late += 1
            else:
                due.put_nowait(next(paths))
        await asyncio.sleep(0.005)
    elapsed_s = time.perf_counter() - began_s
    for one in senders:
        one.cancel()
    lost = Listener.lost
    for one in heard:
        one.close()
    ordered = sorted(told.seconds) or [0.0]
    return {
        "seconds": round(elapsed_s, 1),
        "frames_a_listener": round(Listener.frames / max(1, listeners), 1),
        "listeners_lost": lost,
        "statuses": told.statuses,
        "requests_a_second": round(len(told.seconds) / elapsed_s, 1),
        "late": told.late,
        "p50_ms": round(statistics.median(ordered) * 1_000, 2),
        "p95_ms": round(ordered[int(0.95 * (len(ordered) - 1))] * 1_000, 2),
        "faults": [repr(one.exception()) for one in senders if one.done() and not one.cancelled()],
    }


async def commanded(host: str, listeners: int, per_s: int) -> None:
    """Obey standard input."""
    stop, running = asyncio.Event(), None
    while True:
        word = (await asyncio.to_thread(sys.stdin.readline)).strip()
        if word == "on":
            stop.clear()
            running = asyncio.create_task(load(host, listeners, per_s, stop))
        elif word == "off" and running is not None:
            stop.set()
            print(json.dumps(await running), flush=True)
        else:
            return


def main() -> None:
    """Parse, then obey."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("host")
    parser.add_argument("--listeners", type=int, default=1_000)
    parser.add_argument("--requests", type=int, default=200, help="a second")
    options = parser.parse_args()
    uvloop.run(commanded(options.host, options.listeners, options.requests))


if __name__ == "__main__":
    main()
