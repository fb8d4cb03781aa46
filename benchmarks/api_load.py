"""Whether those who listen and ask slow the rounds: a local network with and without them, in turn.

    python -m benchmarks.api_load --rounds 20 --json api-load.json

Starts a network of real processes and a client, a process that runs where nobody else wants to: it holds
1,000 listeners to events and sends 200 requests a second, all to one validator. Blocks of rounds with and
without it alternate; the round in which it is switched is left out. Prints the medians of certificate
latency, and the processor time that the validator's node and the process of its API take. The client needs
processor time too: where it has no core of its own, part of what it slows is its own doing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import psutil

from node.clock import now_ms
from node.priority import give_way
from node.store import RoundState
from node.testnet.fleet import Fleet
from node.testnet.plan import TestnetPlan, Wanted, plan_testnet
from node.testnet.watch import Watcher
from protocol.schedule import round_at

START_WITHIN_S = 240.0
LOOK_EVERY_S = 0.2
EXPIRY_ROUNDS = 3
SPARE_ROUNDS = 30
ITEMS_A_ROUND = 64
"""Scored; a network on one machine."""
LOWEST_PRIORITY = 19


@dataclass
class Block:
    """Rounds under one condition."""

    loaded: bool
    first: int
    rounds: int
    latencies_ms: list[float] = field(default_factory=list)
    failed: int = 0
    cpu_share: float = 0.0
    """Of one core, by the validator's node."""
    api_cpu_share: float = 0.0
    """And by the process of its API."""
    api_resident_bytes: int = 0
    """Of that process, when the block ends."""
    client: dict[str, Any] | None = None


class Client:
    """The load, switched on and off."""

    def __init__(self, host: str, listeners: int, requests: int) -> None:
        command = [sys.executable, "-m", "benchmarks.api_load_client", host]
        command += ["--listeners", str(listeners), "--requests", str(requests)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=_as_if_elsewhere,
        )
        self.cpu_s = 0.0

    def tell(self, word: str) -> None:
        """Switch."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def told(self) -> dict[str, Any]:
        """What it has to say after `off`."""
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        answer["client_cpu_s"] = round(_cpu_s(self._process.pid) - self.cpu_s, 1)
        self.cpu_s = _cpu_s(self._process.pid)
        return answer

    def end(self) -> None:
        """Stop it."""
        self._process.kill()
        self._process.wait()


def _as_if_elsewhere() -> None:
    os.nice(LOWEST_PRIORITY)
    give_way()
    if sys.platform == "linux":
        # The nearest to a machine of its own: it runs where nobody else wants to.
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def challenges(validators: int, rounds: int, draw: random.Random) -> str:
    """Text for both conditions: the default is spent after some 90 rounds."""
    words = sorted({word for text in topics.values() for word in re.findall(r"[a-z]{3,12}", text)})
    items = (2 * rounds + SPARE_ROUNDS) * ITEMS_A_ROUND * validators
    return "\n\n".join(" ".join(draw.choices(words, k=32)) for _ in range(items))


def _cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def api_of(pid: int) -> int:
    """The process that serves a validator's API."""
    children = psutil.Process(pid).children()
    return next(child.pid for child in children if "node.api_process" in child.cmdline())


def wait_for_round(plan: TestnetPlan, number: int) -> None:
    """Until this round begins."""
    while round_at(plan.genesis, now_ms()) < number:
        time.sleep(LOOK_EVERY_S)


def first_certified(plan: TestnetPlan, watcher: Watcher) -> int:
    """The first round that is certified. Raises SystemExit when none is in time."""
    deadline_s = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline_s:
        for number in range(max(0, round_at(plan.genesis, now_ms()) + 1)):
            if watcher.round(number).state is RoundState.CERTIFIED:
                return number
        time.sleep(LOOK_EVERY_S)
    raise SystemExit("the network certified no round in time")


def measure(
    plan: TestnetPlan, watcher: Watcher, fleet: Fleet, client: Client, options: argparse.Namespace
) -> list[Block]:
    """All blocks, in turn."""
    first_certified(plan, watcher)
    pid = fleet.pid(plan.validators[0].name)
    api = api_of(pid)
    blocks: list[Block] = []
    each = min(options.block, options.rounds)
    for index in range(2 * -(-options.rounds // each)):
        switched = round_at(plan.genesis, now_ms())
        block = Block(index % 2 == 1, switched + 1, each)
        if block.loaded:
            client.tell("on")
        wait_for_round(plan, block.first)
        began_s, cpu_s, api_cpu_s = time.monotonic(), _cpu_s(pid), _cpu_s(api)
        wait_for_round(plan, block.first + each)
        took_s = time.monotonic() - began_s
        block.cpu_share = round((_cpu_s(pid) - cpu_s) / took_s, 3)
        block.api_cpu_share = round((_cpu_s(api) - api_cpu_s) / took_s, 3)
        block.api_resident_bytes = psutil.Process(api).memory_info().rss
        if block.loaded:
            client.tell("off")
            block.client = client.told()
        blocks.append(block)
        print(
            f"{'with' if block.loaded else 'without'}: rounds {block.first} and on, load {os.getloadavg()}",
            flush=True,
        )
    wait_for_round(plan, round_at(plan.genesis, now_ms()) + EXPIRY_ROUNDS)
    for block in blocks:
        for number in range(block.first, block.first + block.rounds):
            found = watcher.round(number).certified_ms
            if found is None:
                block.failed += 1
            else:
                block.latencies_ms.append(found)
    return blocks


def summary(blocks: list[Block], requests: int) -> dict[str, Any]:
    """Medians of both conditions and their ratio; what share of the wanted requests a second was answered."""
    found: dict[str, Any] = {}
    for name, loaded in (("without", False), ("with", True)):
        those = [block for block in blocks if block.loaded is loaded]
        latencies = sorted(latency for block in those for latency in block.latencies_ms)
        found[name] = {
            "rounds": len(latencies),
            "not_certified": sum(block.failed for block in those),
            "median_ms": statistics.median(latencies) if latencies else None,
            "quartiles_ms": statistics.quantiles(latencies, n=4) if len(latencies) > 1 else None,
            "validator_cpu_share": statistics.mean(block.cpu_share for block in those),
            "api_cpu_share": statistics.mean(block.api_cpu_share for block in those),
            "api_resident_bytes": max(block.api_resident_bytes for block in those),
        }
    if found["without"]["rounds"] and found["with"]["rounds"]:
        found["ratio"] = round(found["with"]["median_ms"] / found["without"]["median_ms"], 3)
    told = [block.client for block in blocks if block.client is not None]
    if requests and told:
        found["requests_answered"] = round(min(one["requests_a_second"] for one in told) / requests, 3)
    return found


def main() -> None:
    """Start a network, measure, stop it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--validators", type=int, default=3)
    parser.add_argument("--encoders", type=int, default=4)
    parser.add_argument("--listeners", type=int, default=1_000)
    parser.add_argument("--requests", type=int, default=200, help="a second")
    parser.add_argument("--rounds", type=int, default=20, help="with the load, and as many without")
    parser.add_argument("--block", type=int, default=5, help="rounds in a row, about a minute")
    parser.add_argument("--model", action="append", help="what encoders run; repeatable")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="api-load-") as scratch:
        models = tuple(options.model or ())
        data = Path(scratch, "challenges.txt")
        data.write_text(challenges(options.validators, options.rounds, random.Random(options.seed)))
        wanted = Wanted(options.validators, options.encoders, 0, (), data, options.seed, models, 1, None)
        plan = plan_testnet(Path(scratch, "net"), wanted)
        watcher = Watcher(plan)
        client = Client(str(plan.validators[0].api), options.listeners, options.requests)
        try:
            with Fleet(plan.nodes) as fleet:
                fleet.start_all()
                blocks = measure(plan, watcher, fleet, client, options)
        finally:
            client.end()
            watcher.close()
    found = {"cores": os.cpu_count(), "load": os.getloadavg(), **summary(blocks, options.requests)}
    print(json.dumps(found, indent=1))
    for block in blocks:
        if block.client is not None:
            print(block.client)
    if options.json is not None:
        document = {**vars(options), **found, "blocks": [vars(block) for block in blocks]}
        options.json.write_text(json.dumps(document, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()
