"""Requests and gossip between two processes on loopback: `python benchmarks/network.py [--json]`.

The server runs in a process of its own, as nodes do. Figures: median latency of one request at a time, and
requests a second with 16 at a time, for responses of 4 KB, 12 KB and 1.3 MB; median latency of a 1 KB gossip
message there and back, and messages a second in a burst.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

import trio

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from node.network.host import Host, open_host
from node.network.limits import NetworkLimits
from protocol.verdict import Verdict

TOPIC = "benchmark/1"
SIZES = {"4 KB": 4096, "12 KB": 12_288, "1.3 MB": 1_300_000}
CONCURRENCY = 16
MESSAGE_BYTES = 1024
# What the transport can do, not what one peer is granted of it.
UNLIMITED = NetworkLimits(requests_per_s=1e9, requests_burst=1e9, gossip_messages_per_s=1e9)


def accept(data: bytes, key: bytes) -> Verdict:
    """Forward and deliver everything."""
    return Verdict.ACCEPT


async def serve() -> None:
    """Answer requests with as many bytes as they ask for, and gossip with gossip, until the input closes."""
    async with (
        open_host(bytes(31) + b"\x01", ["/ip4/127.0.0.1/tcp/0"], limits=UNLIMITED) as host,
        trio.open_nursery() as nursery,
    ):
        blob = os.urandom(max(SIZES.values()))

        async def give(peer: bytes, payload: bytes) -> bytes:
            return blob[: int.from_bytes(payload, "big")]

        host.handle("give", give, request_bytes_max=8, response_bytes_max=len(blob))
        inbox = await host.subscribe(TOPIC, accept)

        async def answer() -> None:
            async for data, _ in inbox:
                if data.startswith(b"ping"):
                    await host.publish(TOPIC, b"pong" + data[4:])

        nursery.start_soon(answer)
        sys.stdout.write(host.addresses[0] + "\n")
        sys.stdout.flush()
        async with trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as control:
            await control.receive_some(1)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def server() -> AsyncIterator[str]:
    """The server process; its address."""
    command = [sys.executable, __file__, "--serve"]
    process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        line = b""
        while not line.endswith(b"\n"):
            line += await process.stdout.receive_some(1000)
        yield line.decode().strip()
    finally:
        with trio.CancelScope(shield=True):
            await process.stdin.aclose()
            with trio.move_on_after(5):
                await process.wait()
            if process.returncode is None:
                process.kill()
                await process.wait()


async def measure_requests(host: Host, peer: bytes, size_bytes: int, seconds: float) -> dict[str, float]:
    """Latency one at a time, then the rate with `CONCURRENCY` at a time."""
    request = size_bytes.to_bytes(8, "big")
    taken_s: list[float] = []
    end_s = trio.current_time() + seconds
    while trio.current_time() < end_s or len(taken_s) < 5:
        started_s = trio.current_time()
        await host.request(peer, "give", request, timeout_s=30)
        taken_s.append(trio.current_time() - started_s)
    done = 0
    started_s = trio.current_time()

    async def repeat() -> None:
        nonlocal done
        while trio.current_time() < started_s + seconds:
            await host.request(peer, "give", request, timeout_s=30)
            done += 1

    async with trio.open_nursery() as nursery:
        for _ in range(CONCURRENCY):
            nursery.start_soon(repeat)
    rate = done / (trio.current_time() - started_s)
    taken_s.sort()
    return {
        "p50_ms": round(median(taken_s) * 1000, 3),
        "p99_ms": round(taken_s[int(len(taken_s) * 0.99)] * 1000, 3),
        "per_s": round(rate, 1),
        "mb_per_s": round(rate * size_bytes / 1e6, 1),
    }


async def measure_gossip(host: Host, messages: int) -> dict[str, float]:
    """A message there and its answer back, then a burst of answers."""
    inbox = await host.subscribe(TOPIC, accept)
    filler = bytes(MESSAGE_BYTES - 12)
    taken_s: list[float] = []
    for number in range(messages):
        started_s = trio.current_time()
        await host.publish(TOPIC, b"ping" + number.to_bytes(8, "big") + filler)
        with trio.move_on_after(5) as late:
            await inbox.receive()
        if not late.cancelled_caught:
            taken_s.append(trio.current_time() - started_s)
    started_s = trio.current_time()
    for number in range(messages):
        await host.publish(TOPIC, b"ping" + (messages + number).to_bytes(8, "big") + filler)
    received = 0
    with trio.move_on_after(30):
        while received < messages:
            await inbox.receive()
            received += 1
    elapsed_s = trio.current_time() - started_s
    return {
        "round_trip_p50_ms": round(median(taken_s) * 1000, 3),
        "burst_round_trips_per_s": round(received / elapsed_s, 1),
        "lost": messages - received,
    }


async def run(seconds: float) -> dict[str, object]:
    """Every measurement, by name."""
    async with server() as address, open_host(bytes(31) + b"\x02", [], limits=UNLIMITED) as host:
        peer = await host.dial(address)
        results: dict[str, object] = {
            "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}"
        }
        for name, size_bytes in SIZES.items():
            results[f"request {name}"] = await measure_requests(host, peer, size_bytes, seconds)
        results["gossip 1 KB"] = await measure_gossip(host, 300)
        return results


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="time per measurement")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        trio.run(serve)
        return
    results = trio.run(run, options.seconds)
    if options.json:
        sys.stdout.write(json.dumps(results, indent=2) + "\n")
        return
    for name, result in results.items():
        sys.stdout.write(f"{name:16} {result}\n")


if __name__ == "__main__":
    main()
