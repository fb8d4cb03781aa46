"""What reading over HTTP costs the validator's process: `python benchmarks/api_reads.py [--json]`.

A process of its own serves the API over a store of 24 rounds of 256 items and 8 encoders, as a validator's
API process does: behind its guards, told a status every second. For each address, and for the mix of them
that `api_load` asks for: the median latency of one request at a time, and the share of a core that 200
requests a second take for some seconds, over 8 connections. Every such second of the processor is one that a
round may have to wait for.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
import psutil
import trio

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.api_load_client import PATHS as MIX
from config.datadir import DataDir
from config.genesis import save_genesis
from config.settings import load_settings
from node.api.events import EventHub
from node.api.server import bind
from node.clock import now_ms
from node.status import NodeStatus
from node.store import EmbeddingRecord, RoundRecord, RoundState, ScoreRecord, Store
from protocol.codec import encode
from protocol.genesis import Genesis
from protocol.items import item_id
from protocol.rounds import effects as fx
from protocol.schedule import shard_round, slot_start_ms
from tests.support.api import status_of
from tests.support.certified_history import History, record
from tests.support.genesis import small_network
from tests.support.honest_round import answers_of, plain_comparison, plain_scores
from tests.support.memory_network import MemoryNetwork
from tests.support.serving import served

ITEMS, ENCODERS, VALIDATORS = 256, 8, 8
REAL_ROUNDS, ROUNDS = 4, 24
TERMS = [f"term_{number}" for number in range(22)]
CONNECTIONS = 8
RATE = 200
TOLD_EVERY_MS = 1_000
ANEW = 'If-None-Match: "none"\r\n'
"""Whoever names a version it has is answered by the store."""


def history() -> History:
    """Rounds of a network as large as the preset's, certified in memory."""
    genesis, validators, encoders = small_network(
        VALIDATORS, ENCODERS, items=ITEMS, chain_length=64, epoch_rounds=32
    )
    net = MemoryNetwork(
        genesis,
        [*validators, *encoders],
        {person.key: answers_of(person.key) for person in encoders},
        plain_scores,
        plain_comparison,
    )
    for round_ in range(REAL_ROUNDS):
        net.now_ms = slot_start_ms(genesis, round_)
        net.run(shard_round(genesis, round_, 0))
    facts = [fact for fact in net.nodes[validators[0].key].facts if isinstance(fact, fx.RoundCertified)]
    return History(genesis, validators, encoders, tuple(facts))


def fill(store: Store, told: History) -> None:
    """The real rounds with their bodies, and more of the same shape behind them."""
    draw = np.random.default_rng(0)
    for fact in told.facts:
        record(store, told, fact)
        store.put_blob(encode(fact.body), fact.at.round, fx.Purpose.REPORT)
    newest = store.round(REAL_ROUNDS - 1, 0)
    assert newest is not None
    for round_ in range(ROUNDS):
        if round_ >= REAL_ROUNDS:
            row = RoundRecord(
                0, round_, 0, RoundState.CERTIFIED, 1, newest.dealer, draw.bytes(32), newest.header
            )
            store.record_round(RoundRecord(**{**_fields(row), "certificate": newest.certificate}))
            store.record_embeddings(
                EmbeddingRecord(
                    draw.bytes(32), round_, 0, place, 0, draw.normal(size=1024).astype("<f4").tobytes()
                )
                for place in range(ITEMS)
            )
        store.record_scores(
            ScoreRecord(round_, 0, one.key, 0.5, 0.1, dict.fromkeys(TERMS, 0.123456789))
            for one in told.encoders
        )


def _fields(row: RoundRecord) -> dict[str, object]:
    return {name: getattr(row, name) for name in RoundRecord.__dataclass_fields__}


class Told:
    """A node's newest status, as old as it may be."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._newest = status_of(history)

    def status(self) -> NodeStatus:
        if now_ms() - self._newest.updated_ms >= TOLD_EVERY_MS:
            self._newest = status_of(self._history)
        return self._newest


async def serve(root: Path) -> None:
    """Serve the API until the input closes."""
    from node.api.app import make_guarded_app
    from node.api.service import open_service

    told = history()
    genesis: Genesis = told.genesis
    directory = DataDir.open(root, "localnet")
    save_genesis(directory.genesis, genesis)
    with Store.open(directory.store, directory.blobs) as store:
        fill(store, told)
    settings = load_settings({"home": root}, environment={})
    events = EventHub()
    with open_service(genesis, settings, directory, events, Told(told).status, lambda: None) as service:
        async with served(lambda: make_guarded_app(service), bind("127.0.0.1:0"), events) as address:
            fact = told.facts[1]
            item = item_id(fact.items[0]).hex()
            paths = [
                "/v1/genesis",
                "/v1/rounds?limit=20",
                f"/v1/rounds/{REAL_ROUNDS - 1}",
                f"/v1/items/{item}?embedding=none",
                f"/v1/items/{item}?embedding=base64",
                f"/v1/items/{item}",
                f"/v1/items/{item}/proof",
                f"/v1/certificates/{fact.header.digest.hex()}",
                "/v1/encoders",
                "/v1/status",
                "/v1/validators",
                "/healthz",
            ]
            sys.stdout.write(json.dumps({"address": address, "paths": paths}) + "\n")
            sys.stdout.flush()
            async with trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as control:
                await control.receive_some(1)


async def ask(stream: trio.SocketStream, path: str, anew: bool) -> int:
    """One request on a connection that stays; how many bytes came."""
    await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{ANEW if anew else ''}\r\n".encode())
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive_some(1 << 16)
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), data
    lines = head.lower().split(b"\r\n")
    length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
    got = len(body)
    while got < length:
        got += len(await stream.receive_some(1 << 16))
    return length


async def measure(
    address: str, paths: Sequence[str], process: psutil.Process, seconds: float, anew: bool
) -> dict[str, float | str]:
    """Latency one at a time, and the share of a core at RATE requests a second, the paths in turn."""
    host, port = address.split(":")
    latencies = []
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        for turn in range(24):
            size_bytes = await ask(stream, paths[turn % len(paths)], anew)
        for turn in range(200):
            start = time.perf_counter()
            await ask(stream, paths[turn % len(paths)], anew)
            latencies.append(time.perf_counter() - start)
    start_s, before = time.perf_counter(), _cpu_s(process)
    done = 0

    async def connection(offset: int) -> None:
        nonlocal done
        async with await trio.open_tcp_stream(host, int(port)) as own:
            for turn in range(int(seconds * RATE / CONNECTIONS)):
                at = start_s + (turn * CONNECTIONS + offset) / RATE
                await trio.sleep(max(0.0, at - time.perf_counter()))
                await ask(own, paths[(turn * CONNECTIONS + offset) % len(paths)], anew)
                done += 1

    async with trio.open_nursery() as nursery:
        for offset in range(CONNECTIONS):
            nursery.start_soon(connection, offset)
    took_s, used_s = time.perf_counter() - start_s, _cpu_s(process) - before
    return {
        "path": _named(paths),
        "bytes": size_bytes,
        "median_ms": 1_000 * median(latencies),
        "requests_per_s": done / took_s,
        "share_of_a_core": used_s / took_s,
        "cpu_ms_per_request": 1_000 * used_s / done,
    }


def _named(paths: Sequence[str]) -> str:
    (path, *others) = paths
    if others:
        return "the mix of api_load"
    if "/items/" in path:
        return "/v1/items/{id}" + path[len("/v1/items/") + 64 :]
    return path.split("?")[0][:16] + ("?" + path.split("?")[1] if "?" in path else "")


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def run(seconds: float, only: Sequence[str], anew: bool) -> list[dict[str, float | str]]:
    """All figures, from one server process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--serve", folder]
        process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            told = json.loads(await _first_document(process.stdout))
            watched = psutil.Process(process.pid)
            return [
                await measure(told["address"], paths, watched, seconds, anew)
                for paths in [*([path] for path in told["paths"]), MIX]
                if not only or any(part in _named(paths) for part in only)
            ]
        finally:
            await process.stdin.aclose()
            with trio.move_on_after(20):
                await process.wait()


async def _first_document(stream: trio.abc.ReceiveStream) -> str:
    """The first line that is JSON; the log's come before it."""
    data = b""
    while True:
        data += await stream.receive_some(1 << 16)
        for line in data.split(b"\n")[:-1]:
            if line.startswith(b"{"):
                return line.decode()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="of requests at 200 a second, each address"
    )
    parser.add_argument("--only", nargs="*", default=[], help="addresses that contain one of these")
    parser.add_argument("--anew", action="store_true", help="no answer is taken from memory")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.serve is not None:
        trio.run(serve, given.serve)
        return
    before = os.getloadavg()[0]
    rows = trio.run(run, given.seconds, given.only, given.anew)
    if given.json:
        print(json.dumps({"load_before": before, "load_after": os.getloadavg()[0], "rows": rows}, indent=1))
        return
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {before:.1f} before")
    print(
        f"{'address':40} {'bytes':>8} {'median ms':>10} {'asked/s':>8} {'of a core':>10} {'CPU ms each':>12}"
    )
    for row in rows:
        print(
            f"{row['path']:40} {row['bytes']:>8} {row['median_ms']:>10.2f} {row['requests_per_s']:>8.0f} "
            f"{row['share_of_a_core']:>10.2f} {row['cpu_ms_per_request']:>12.2f}"
        )


if __name__ == "__main__":
    main()
