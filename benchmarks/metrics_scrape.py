"""What a scrape costs, and whether the node's loop feels it: `python -m benchmarks.metrics_scrape`.

The store holds `--rounds` certified rounds of `--encoders` encoders with all terms; the status tells of as
many peers as there are encoders. A trio loop that wakes every 2 ms is looked at while nobody scrapes and
while somebody does four times a second, in turn; how late it wakes is what a round would feel.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter, thread_time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import trio

from node.clock import now_ms
from node.metrics.catalogue import TERMS
from node.metrics.measured import ValidatorMeters
from node.metrics.rounds import RoundMeters
from node.metrics.validator import ValidatorMetrics
from node.status import NodeStatus, PeerStatus
from node.store import RoundRecord, RoundState, ScoreRecord, Store
from protocol.codec import encode
from protocol.hashing import digest
from protocol.rounds import effects as fx
from protocol.schedule import ShardRound
from tests.support.api import service_over, status_of
from tests.support.certified_history import History, certified_history

SCRAPES = 200
STEPS = 20_000
WAKE_S = 0.002
SCRAPE_EVERY_S = 0.25
TURNS = 5
TURN_S = 4.0


def filled(store: Store, history: History, rounds: int, encoders: int) -> None:
    """Write certified rounds with scores, behind those of the history."""
    fact = history.facts[-1]
    certificate, first = encode(fact.certificate), fact.at.round + 1
    keys = [digest("encoder", number.to_bytes(4, "big")) for number in range(encoders)]
    for round_ in range(first, first + rounds):
        store.record_round(
            RoundRecord(
                0,
                round_,
                0,
                RoundState.CERTIFIED,
                now_ms(),
                history.validators[0].key,
                fact.header.digest,
                fact.header.data,
                certificate,
            )
        )
        terms = {**dict.fromkeys(TERMS, 0.5), "live": 1.0}
        store.record_scores(ScoreRecord(round_, 0, key, 0.5, 1 / encoders, terms) for key in keys)


def connected(history: History, peers: int) -> NodeStatus:
    """A status with so many peers and the counters of a node that runs."""
    told = tuple(
        PeerStatus(digest("p", bytes([n % 256, n // 256])).hex(), "encoder", "/ip4/10.0.0.1", True, 0, 0.0)
        for n in range(peers)
    )
    return status_of(history, peers=told, counters={f"gossip.dropped.{n}": n for n in range(100)})


@contextmanager
def scraped(measured: ValidatorMetrics, every_s: float) -> Iterator[None]:
    """Somebody scrapes while the block runs."""
    over = threading.Event()

    def scrape() -> None:
        while not over.wait(every_s):
            measured.exposition()

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


async def lateness_ms(turn_s: float) -> list[float]:
    """How late a loop wakes."""
    late = []
    ends_s = trio.current_time() + turn_s
    while (due_s := trio.current_time() + WAKE_S) < ends_s:
        await trio.sleep_until(due_s)
        late.append((trio.current_time() - due_s) * 1_000)
    return late


def say(name: str, values: list[float]) -> None:
    """Median and tail."""
    tail = quantiles(values, n=100)
    figures = {"p50": median(values), "p95": tail[94], "p99": tail[98], "max": max(values)}
    print(f"{name:42}", "  ".join(f"{what} {value:7.3f}" for what, value in figures.items()))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5_000)
    parser.add_argument("--encoders", type=int, default=32)
    asked = parser.parse_args()
    history = certified_history()
    meters = ValidatorMeters()
    measured = ValidatorMetrics(meters.measured)
    with (
        tempfile.TemporaryDirectory() as root,
        service_over(Path(root), history, connected(history, asked.encoders)) as service,
    ):
        with Store.open(service.directory.store, service.directory.blobs) as store:
            filled(store, history, asked.rounds, asked.encoders)
        measured.read_service(service)
        size = len(measured.exposition())
        print(f"{asked.rounds} rounds, {asked.encoders} encoders, {size} bytes a scrape; milliseconds")
        took, worked = [], []
        for _ in range(SCRAPES):
            began_s, cpu_s = perf_counter(), thread_time()
            measured.exposition()
            took.append((perf_counter() - began_s) * 1_000)
            worked.append((thread_time() - cpu_s) * 1_000)
        say("a scrape", took)
        say("its CPU time", worked)
        alone: list[float] = []
        beside: list[float] = []
        for _ in range(TURNS):
            alone += trio.run(lateness_ms, TURN_S)
            with scraped(measured, SCRAPE_EVERY_S):
                beside += trio.run(lateness_ms, TURN_S)
        say("a loop wakes late, nobody scrapes", alone)
        say(f"a loop wakes late, scraped every {SCRAPE_EVERY_S} s", beside)
    observe(meters.rounds, history)


def observe(meters: RoundMeters, history: History) -> None:
    """What a step costs."""
    keys = tuple(person.key for person in history.encoders)
    steps = [
        fx.Publish(ShardRound(0, n, 0), fx.Step.LOCKED, 1, 900, keys[:3], keys[3:]) for n in range(STEPS)
    ]
    cpu_s = thread_time()
    for step in steps:
        meters.step(step)
    print(f"a step observed: {(thread_time() - cpu_s) / STEPS * 1e6:.1f} us of CPU")


if __name__ == "__main__":
    main()
