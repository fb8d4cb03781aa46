"""Whether the memory of a network's processes levels off: `python -m benchmarks.memory_run --rounds 600`.

A local network of real processes with short slots, so that half an hour has the rounds of many. Each process
is looked at by itself, a node and each of its children: what is resident, split into anonymous memory, which
only the process can give back, mapped files, which the kernel drops when it needs the room, and memory shared
between a node and its model. Slopes are least squares over the rounds after `--settle` of them, a thousand
rounds and an hour, and once more over the second half of these alone: what levels off is flatter there. Of
each epoch the sample with the least anonymous memory counts: what an epoch's end takes for a second, and when
somebody looks, is no growth.

Challenge items are sentences of the default text put together anew, as many as the rounds need: scores
mean nothing here, sizes do.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import sys
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any, Final

import msgspec
import psutil

from config.genesis import save_genesis
from node.clock import now_ms
from node.corpus import load_corpus
from node.store import Access, Store
from node.testnet.fleet import Fleet
from node.testnet.kernels import kernels_compiled
from node.testnet.plan import START_LEAD_MS, TestnetPlan, Wanted, plan_testnet
from protocol.genesis import Genesis
from protocol.schedule import round_at

KIB: Final = 1 << 10
MIB: Final = 1 << 20
SAMPLE_EVERY_S: Final = 5.0
SEARCH_EVERY_S: Final = 60.0
SENTENCES: Final = 3
ITEMS_PER_ROUND: Final = 64
SPARE: Final = 1.6
"""Validators are drawn by stake, so some deal more often than others and spend their pools first."""
MODELS: Final = ("wordllama-64", "ngram", "wordllama-128", "wordllama-256")
CHILDREN: Final = {
    "node.api_process": "API",
    "node.search_process": "search",
    "node.scoring_worker": "scoring",
    "node.model_process": "model",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One process at one moment; sizes in bytes."""

    at_s: float
    round: int
    resident: int
    anonymous: int
    shared: int
    """Shared memory, this process's part of it: answers on their way from a model to its node."""

    @property
    def files(self) -> int:
        """Of mapped files: programs, libraries, vectors on disk."""
        return max(0, self.resident - self.anonymous - self.shared)


def sample(pid: int, at_s: float, round_: int) -> Sample | None:
    """What the kernel says of a process; None when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    sizes = {
        name: int(rest.split()[0]) * KIB for name, _, rest in (line.partition(":") for line in lines[1:])
    }
    return Sample(at_s, round_, sizes["Rss"], sizes["Anonymous"], sizes.get("Pss_Shmem", 0))


def processes(fleet: Fleet, plan: TestnetPlan) -> Iterator[tuple[str, int]]:
    """(name, pid) of every node and its children."""
    for one in plan.nodes:
        pid = fleet.pid(one.name)
        yield one.name, pid
        try:
            for child in psutil.Process(pid).children(recursive=True):  # the API starts the search
                command = " ".join(child.cmdline())
                found = [said for module, said in CHILDREN.items() if module in command]
                if found:
                    yield f"{one.name}, {found[0]}", child.pid
        except psutil.Error:
            continue


def slope(points: Sequence[tuple[float, float]]) -> float | None:
    """Least squares over (x, y); None of fewer than three."""
    if len(points) < 3:
        return None
    middle = sum(x for x, _ in points) / len(points)
    level = sum(y for _, y in points) / len(points)
    spread = sum((x - middle) ** 2 for x, _ in points)
    return sum((x - middle) * (y - level) for x, y in points) / spread if spread else None


def lowest(samples: Sequence[Sample], epoch_rounds: int) -> list[Sample]:
    """Of each epoch the sample with the least anonymous memory."""
    by_epoch: dict[int, Sample] = {}
    for one in samples:
        epoch = one.round // epoch_rounds
        if epoch not in by_epoch or one.anonymous < by_epoch[epoch].anonymous:
            by_epoch[epoch] = one
    return list(by_epoch.values())


def judged(samples: Sequence[Sample], settle_rounds: int, epoch_rounds: int) -> dict[str, Any]:
    """Sizes in MiB, slopes in MB of 10^6 bytes."""
    settled = lowest([one for one in samples if one.round >= settle_rounds], epoch_rounds)
    middle = settled[len(settled) // 2].round if settled else 0
    late = [one for one in settled if one.round >= middle]

    def per(name: str, some: Sequence[Sample], of: str, times: float) -> float | None:
        found = slope([(getattr(one, of), getattr(one, name)) for one in some])
        return None if found is None else round(found * times / 1e6, 2)

    return {
        "settled_mib": [round(settled[place].anonymous / MIB, 1) for place in (0, -1)] if settled else None,
        "last_mib": {
            name: round(getattr(samples[-1], name) / MIB, 1) for name in ("anonymous", "files", "shared")
        },
        "most_mib": round(max(one.anonymous for one in samples) / MIB, 1),
        "per_1000_rounds": {name: per(name, settled, "round", 1e3) for name in ("anonymous", "files")},
        "per_1000_rounds_late": {name: per(name, late, "round", 1e3) for name in ("anonymous", "files")},
        "per_hour": {name: per(name, settled, "at_s", 3600.0) for name in ("anonymous", "files")},
    }


def write_items(path: Path, count: int, seed: int) -> None:
    """So many distinct texts, a JSON object a line."""
    texts = [text for text in load_corpus(None) if len(text.split()) >= 7]
    draw = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        for _ in range(count):
            words = " ".join(" ".join(draw.choice(texts).split()[:10]) for _ in range(SENTENCES))
            file.write(json.dumps({"text": words}) + "\n")


def planned(root: Path, given: argparse.Namespace) -> TestnetPlan:
    """The network, its rounds as short as asked for."""
    data = root / "items.jsonl"
    write_items(data, int(given.rounds * ITEMS_PER_ROUND * SPARE), given.seed)
    wanted = Wanted(given.validators, given.encoders, 0, (), data, given.seed, tuple(given.model or MODELS))
    plan = plan_testnet(root / "net", wanted, beside=kernels_compiled(lambda _: None))
    parameters = msgspec.structs.replace(
        plan.genesis.parameters,
        slot_ms=given.slot_ms,
        wave_deadline_ms=given.slot_ms // 2,
        reveal_deadline_ms=given.slot_ms // 2,
        epoch_rounds=given.epoch_rounds,
        masks_per_item=given.masks,
        scored_items=ITEMS_PER_ROUND,
    )
    content = msgspec.structs.replace(
        plan.genesis.content, parameters=parameters, genesis_time_ms=now_ms() + START_LEAD_MS
    )
    genesis = Genesis(content)
    for directory in (*(one.directory for one in plan.nodes), plan.root):
        (directory / "genesis.json").unlink()
        save_genesis(directory / "genesis.json", genesis)
    return TestnetPlan(plan.root, genesis, plan.validators, plan.encoders)


def search(plan: TestnetPlan) -> None:
    """Have one validator search, so that its search process runs and follows; a refusal is no fault."""
    asked = urllib.request.Request(
        f"http://{plan.validators[0].api}/v1/search",
        json.dumps({"text": "where the river meets the sea", "k": 10}).encode(),
        {"Content-Type": "application/json"},
    )
    with contextlib.suppress(OSError), urllib.request.urlopen(asked, timeout=60) as answer:
        answer.read()


def run(
    plan: TestnetPlan, rounds: int, search_from: int | None = None
) -> tuple[dict[str, list[Sample]], float]:
    """Samples by process until so many rounds have begun, and the median load meanwhile."""
    found: dict[str, list[Sample]] = defaultdict(list)
    loads: list[float] = []
    with Fleet(plan.nodes) as fleet:
        fleet.start_all()
        began_s = time.monotonic()
        round_, searched_s = 0, -float("inf")
        while round_ < rounds:
            time.sleep(SAMPLE_EVERY_S)
            round_ = max(0, round_at(plan.genesis, now_ms()))
            for name, pid in processes(fleet, plan):
                one = sample(pid, time.monotonic() - began_s, round_)
                if one is not None:
                    found[name].append(one)
            if (
                search_from is not None
                and round_ >= search_from
                and time.monotonic() - searched_s > SEARCH_EVERY_S
            ):
                searched_s = time.monotonic()
                # Under load an answer takes a minute, in which samples go on.
                Thread(target=search, args=(plan,), daemon=True).start()
            loads.append(os.getloadavg()[0])
            sys.stderr.write(f"\rround {round_} of {rounds}, load {loads[-1]:.1f} ")
            if fallen := fleet.fallen():
                raise SystemExit(f"\n{fallen}: {fleet.last_words(next(iter(fallen)), 20)}")
        sys.stderr.write("\n")
    return found, median(loads)


def certified(plan: TestnetPlan, rounds: int) -> int:
    """How many of the rounds are certified in a validator's store."""
    directory = plan.validators[0].directory
    with Store.open(directory / "store.sqlite", directory / "blobs", access=Access.READ_ONLY) as store:
        return len(store.certified_between(0, rounds))


def table(run_: dict[str, Any]) -> str:
    """What a person reads of it."""

    def said(value: float | None) -> str:
        return "-" if value is None else f"{value:+.1f}"

    lines = [
        f"{run_['certified']} of {run_['rounds']} rounds certified, {run_['minutes']:.1f} min, "
        f"median load {run_['load']:.1f}; anonymous memory and slopes after round {run_['settle_rounds']}",
        "",
        "| process | MiB, first to last epoch | most | mapped files, MiB | MB per 1,000 rounds | second half "
        "| MB an hour | files, MB per 1,000 rounds |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, one in run_["processes"].items():
        rounds, late = one["per_1000_rounds"], one["per_1000_rounds_late"]
        lines.append(
            f"| {name} | {' to '.join(map(str, one['settled_mib'] or []))} | {one['most_mib']} "
            f"| {one['last_mib']['files']} "
            f"| {said(rounds['anonymous'])} | {said(late['anonymous'])} "
            f"| {said(one['per_hour']['anonymous'])} | {said(rounds['files'])} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run, print, and keep every sample if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=600)
    parser.add_argument("--slot-ms", type=int, default=2_000)
    parser.add_argument("--epoch-rounds", type=int, default=20)
    parser.add_argument("--masks", type=int, default=1, help="of each item")
    parser.add_argument("--validators", type=int, default=3)
    parser.add_argument("--encoders", type=int, default=4)
    parser.add_argument("--model", action="append", help="what encoders run, in turn")
    parser.add_argument("--settle", type=int, default=None, help="rounds passed over; default: a third")
    parser.add_argument("--search", type=int, default=None, help="search at one validator from this round on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    settle = given.rounds // 3 if given.settle is None else given.settle
    began_s = time.monotonic()
    with TemporaryDirectory(prefix="dm") as root:
        plan = planned(Path(root), given)
        found, load = run(plan, given.rounds, given.search)
        told = {
            "rounds": given.rounds,
            "certified": certified(plan, given.rounds),
            "settle_rounds": settle,
            "slot_ms": given.slot_ms,
            "minutes": (time.monotonic() - began_s) / 60,
            "load": load,
            "processes": {
                name: judged(samples, settle, given.epoch_rounds) for name, samples in sorted(found.items())
            },
            "samples": {name: [asdict(one) for one in samples] for name, samples in sorted(found.items())},
        }
    if given.json is not None:
        given.json.write_text(json.dumps(told) + "\n")
    sys.stdout.write(table(told))


if __name__ == "__main__":
    main()
