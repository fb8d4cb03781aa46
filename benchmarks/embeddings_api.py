"""From request to certified answer, over HTTP, on a local network of real processes.

    python -m benchmarks.embeddings_api --encoders 4 --samples 12 --json api.json

Prints p50 and p95 at 1, 8 and 64 concurrent requests of one sentence each, how much of it is waiting for the
slot, the round, and the encoders' own part of the round; then how a round's length depends on the number of
items served in it; then repeats. Each client pauses for a random part of a slot between its requests, so that
they come at all times of a slot.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import importlib.util
import json
import os
import random
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from node.clock import now_ms
from node.testnet.fleet import Fleet
from node.testnet.plan import TestnetPlan, Wanted, plan_testnet
from node.testnet.watch import Watcher
from protocol.schedule import round_at

START_WITHIN_S = 180.0
REQUEST_TIMEOUT_S = 320.0
CHALLENGE_CHARS = 6_000_000
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)
WORDS = """
    river stone orchard winter signal copper harbour lantern meadow engine silver thunder garden paper
    mountain bridge window candle forest market island shadow letter needle basket mirror feather anchor
"""


@dataclass
class Sample:
    """One request."""

    latency_ms: float
    rounds_on: int
    """Between the round open when it was sent and the one that certified it: 1 is the next."""
    round: int


def sentence(draw: random.Random) -> str:
    """Fourteen words nobody has sent before."""
    return " ".join(draw.choices(WORDS.split(), k=12)) + f" {draw.randrange(10**9)} {draw.randrange(10**9)}"


def challenges() -> str:
    """Docstrings of what is installed: the default lasts for some 90 rounds.

    Random words would not do: no encoder tells parts of them apart, so none would have weight.
    """
    found: list[str] = []
    size = 0
    for package in ("numpy", "scipy", "sklearn", "torch"):
        place = importlib.util.find_spec(package)
        assert place is not None
        assert place.origin is not None
        for path in sorted(Path(place.origin).parent.rglob("*.py")):
            try:
                nodes = ast.walk(ast.parse(path.read_text(errors="replace")))
            except (SyntaxError, ValueError):
                continue
            texts = [ast.get_docstring(node) or "" for node in nodes if isinstance(node, DOCUMENTED)]
            found += texts
            size += sum(map(len, texts))
            if size > CHALLENGE_CHARS:
                return "\n\n".join(found)
    return "\n\n".join(found)


async def ask(client: httpx.AsyncClient, plan: TestnetPlan, texts: list[str]) -> Sample:
    """One request, waited for."""
    sent_round = round_at(plan.genesis, now_ms())
    began_s = time.perf_counter()
    answer = await client.post("/v1/embeddings", json={"input": texts, "encoding_format": "base64"})
    latency_ms = (time.perf_counter() - began_s) * 1_000
    answer.raise_for_status()
    items = answer.json()["deltamesh"]["items"]
    last = max(item["round"] for item in items)
    return Sample(latency_ms, last - sent_round, last)


async def at_concurrency(
    plan: TestnetPlan, clients: list[httpx.AsyncClient], level: int, each: int, draw: random.Random
) -> list[Sample]:
    """So many clients, one request at a time each, spread over the validators."""
    slot_s = plan.genesis.parameters.slot_ms / 1_000

    async def one(number: int) -> list[Sample]:
        found = []
        for _ in range(each):
            await asyncio.sleep(draw.uniform(0, slot_s))
            found.append(await ask(clients[number % len(clients)], plan, [sentence(draw)]))
        return found

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(number)) for number in range(level)]
    return [sample for task in tasks for sample in task.result()]


def described(samples: list[Sample], watcher: Watcher) -> dict[str, Any]:
    """Percentiles, and where the time of the rounds went."""
    latencies = sorted(sample.latency_ms for sample in samples)
    rounds = [watcher.round(number) for number in sorted({sample.round for sample in samples})]
    whole = [view.certified_ms for view in rounds if view.certified_ms is not None]
    encoders = [sum(view.wave_ms.values()) + (view.reveal_ms or 0) for view in rounds if view.certified_ms]
    return {
        "requests": len(samples),
        "p50_ms": round(statistics.median(latencies)),
        "p95_ms": round(latencies[min(len(latencies) - 1, int(0.95 * len(latencies)))]),
        "in_next_round": sum(sample.rounds_on == 1 for sample in samples),
        "in_open_round": sum(sample.rounds_on == 0 for sample in samples),
        "rounds": len(rounds),
        "items_median": statistics.median(view.items for view in rounds),
        "round_ms_median": statistics.median(whole) if whole else None,
        "encoders_ms_median": statistics.median(encoders) if encoders else None,
    }


async def measure(plan: TestnetPlan, watcher: Watcher, arguments: argparse.Namespace) -> dict[str, Any]:
    """All measurements, one after the other."""
    draw = random.Random(arguments.seed)
    found: dict[str, Any] = {"slot_ms": plan.genesis.parameters.slot_ms, "load_before": os.getloadavg()}
    clients = [
        httpx.AsyncClient(base_url=f"http://{node.api}", timeout=REQUEST_TIMEOUT_S)
        for node in plan.validators
    ]
    try:
        await _until_answered(clients, plan, draw)
        for level in arguments.levels:
            each = max(2, -(-arguments.samples // level))
            samples = await at_concurrency(plan, clients, level, each, draw)
            found[f"concurrency_{level}"] = described(samples, watcher)
            print(f"concurrency {level}: {found[f'concurrency_{level}']}", flush=True)
        for items in arguments.items:
            samples = []
            for _ in range(arguments.rounds):
                samples.append(await ask(clients[0], plan, [sentence(draw) for _ in range(items)]))
            found[f"served_{items}"] = described(samples, watcher)
            print(f"served {items}: {found[f'served_{items}']}", flush=True)
        known = [sentence(draw)]
        await ask(clients[0], plan, known)
        repeats = [await ask(clients[0], plan, known) for _ in range(arguments.repeats)]
        latencies = sorted(sample.latency_ms for sample in repeats)
        found["repeats"] = {
            "requests": len(repeats),
            "p50_ms": round(statistics.median(latencies), 1),
            "p95_ms": round(latencies[int(0.95 * len(latencies))], 1),
        }
        print(f"repeats: {found['repeats']}", flush=True)
    finally:
        for client in clients:
            await client.aclose()
    return {**found, "load_after": os.getloadavg()}


async def _until_answered(clients: list[httpx.AsyncClient], plan: TestnetPlan, draw: random.Random) -> None:
    """The first certified answer of each validator; whatever comes before is starting up."""
    deadline_s = time.monotonic() + START_WITHIN_S
    for client in clients:
        while True:
            try:
                await ask(client, plan, [sentence(draw)])
                break
            except httpx.HTTPError:
                if time.monotonic() > deadline_s:
                    raise
                await asyncio.sleep(1.0)


def main() -> None:
    """Start a network, measure, stop it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--validators", type=int, default=3)
    parser.add_argument("--encoders", type=int, default=4)
    parser.add_argument("--levels", type=int, nargs="*", default=[1, 8, 64])
    parser.add_argument("--samples", type=int, default=12, help="requests at each level, 2 a client at least")
    parser.add_argument("--items", type=int, nargs="*", default=[1, 16, 64], help="served in one round")
    parser.add_argument("--rounds", type=int, default=4, help="rounds for each of them")
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--model", action="append", help="what encoders run; repeatable")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="embeddings-api-") as scratch:
        models = tuple(arguments.model or ())
        data = Path(scratch, "challenges.txt")
        data.write_text(challenges())
        wanted = Wanted(
            arguments.validators, arguments.encoders, 0, (), data, arguments.seed, models, 1, None
        )
        plan = plan_testnet(Path(scratch, "net"), wanted)
        watcher = Watcher(plan)
        try:
            with Fleet(plan.nodes) as fleet:
                fleet.start_all()
                found = asyncio.run(measure(plan, watcher, arguments))
        finally:
            watcher.close()
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({**vars(arguments), **found}, indent=2, default=str) + "\n")


if __name__ == "__main__":
    main()
