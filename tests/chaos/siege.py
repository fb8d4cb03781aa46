"""A network under attack, in turns with and without, and what it costs: latency, memory, certified rounds."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil

from node.testnet.fleet import end_with_parent
from protocol.schedule import slot_start_ms
from tests.chaos.network import LOOK_EVERY_S, Network

ATTACKER_ENDS_WITHIN_S = 60.0
"""Generous: it is nice, and may hardly run on a busy machine."""
MIB = 1 << 20


@dataclass
class Siege:
    """What was seen of a network over turns of peace and attack."""

    network: Network
    attacker_log: Path
    done: Counter[str] = field(default_factory=Counter)
    """What attackers say they did."""
    turns: list[tuple[bool, int, int]] = field(default_factory=list)
    """(attacked, first round, last round) of every turn."""
    memory: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    """By node: (seconds on a monotonic clock, resident bytes of the node and its workers)."""

    cpu_s: dict[bool, float] = field(default_factory=lambda: {False: 0.0, True: 0.0})
    """Processor time all nodes took in the turns without and with an attacker."""
    wall_s: dict[bool, float] = field(default_factory=lambda: {False: 0.0, True: 0.0})

    def turn(self, seconds: float, loud: Sequence[Path] = (), quiet: Sequence[Path] = ()) -> None:
        """One turn of about so many seconds, attacked by these members if there are any. Whole slots."""
        first = self.network.round_now() + 1
        self._wait_for_slot(first)
        started_s, taken_s, attacked = time.monotonic(), self._taken_s(), bool(loud or quiet)
        with self._attackers(seconds, loud, quiet):
            while time.monotonic() < started_s + seconds:
                self._look()
                time.sleep(LOOK_EVERY_S * 5)
            self.cpu_s[attacked] += self._taken_s() - taken_s
            self.wall_s[attacked] += time.monotonic() - started_s
        self.turns.append((attacked, first, max(first, self.network.round_now() - 1)))

    def latencies_ms(self, attacked: bool) -> list[int]:
        """From challenge to certificate, of the rounds of all turns of one sort."""
        views = [self.network.view(round_) for round_ in self._rounds(attacked)]
        return [view.certified_ms for view in views if view.certified_ms is not None]

    def dealt(self, attacked: bool) -> int:
        """How many rounds were dealt in the turns of one sort."""
        return sum(self.network.view(round_).dealt for round_ in self._rounds(attacked))

    def ratio(self) -> float:
        """Median latency under attack over that in peace."""
        return median(self.latencies_ms(True)) / median(self.latencies_ms(False))

    def growth_bytes(self, name: str) -> int:
        """Resident memory of a node at the end above that at the beginning, each the median of a tenth."""
        sizes = [size for _, size in self.memory[name]]
        tenth = max(1, len(sizes) // 10)
        return int(median(sizes[-tenth:]) - median(sizes[:tenth]))

    def slope_bytes_per_min(self, name: str) -> float:
        """Least-squares slope of a node's resident memory."""
        points = self.memory[name]
        mean_s = sum(at for at, _ in points) / len(points)
        mean_bytes = sum(size for _, size in points) / len(points)
        spread = sum((at - mean_s) ** 2 for at, _ in points)
        return 60 * sum((at - mean_s) * (size - mean_bytes) for at, size in points) / (spread or 1.0)

    def penalised(self) -> Counter[str]:
        """Reasons for which validators held something against a peer."""
        return Counter(
            entry["reason"].partition(":")[0][:60]
            for plan in self.network.plan.validators
            for entry in self.network.events(plan.name, "peer.penalised")
        )

    def cores(self, attacked: bool) -> float:
        """How many processors all nodes together kept busy in the turns of one sort."""
        return self.cpu_s[attacked] / (self.wall_s[attacked] or 1.0)

    def _taken_s(self) -> float:
        return sum(cpu_seconds(self.network.fleet.pid(plan.name)) for plan in self.network.plan.nodes)

    def _rounds(self, attacked: bool) -> list[int]:
        return [n for hit, first, last in self.turns if hit == attacked for n in range(first, last + 1)]

    def _look(self) -> None:
        for plan in self.network.plan.nodes:
            size = resident_bytes(self.network.fleet.pid(plan.name))
            self.memory.setdefault(plan.name, []).append((time.monotonic(), size))

    def _wait_for_slot(self, round_: int) -> None:
        due_s = slot_start_ms(self.network.plan.genesis, round_) / 1000
        while time.time() < due_s:
            self._look()
            time.sleep(LOOK_EVERY_S)

    @contextmanager
    def _attackers(self, seconds: float, loud: Sequence[Path], quiet: Sequence[Path]) -> Iterator[None]:
        if not loud and not quiet:
            yield
            return
        command = [sys.executable, "-m", "tests.chaos.attacker", "--seconds", str(2 * seconds)]
        command += ["--genesis", str(self.network.plan.root / "genesis.json"), "--seed", str(len(self.turns))]
        command += [text for path in loud for text in ("--loud", str(path))]
        command += [text for path in quiet for text in ("--quiet", str(path))]
        with self.attacker_log.open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                preexec_fn=end_with_parent,
            )
        try:
            yield
            process.terminate()
            told, _ = process.communicate(timeout=ATTACKER_ENDS_WITHIN_S)
        finally:
            process.kill()
            process.wait()
        assert process.returncode in (0, -signal.SIGTERM), self.attacker_log.read_text(errors="replace")[
            -2000:
        ]
        self.done.update(json.loads(told or "{}"))  # nothing was said by one that had not yet begun


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and its children; 0 when it is gone."""
    try:
        process = psutil.Process(pid)
        return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))
    except psutil.NoSuchProcess:
        return 0


def cpu_seconds(pid: int) -> float:
    """Processor time a process and its children have taken; 0 when it is gone."""
    try:
        process = psutil.Process(pid)
        times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    except psutil.NoSuchProcess:
        return 0.0
    return float(sum(spent.user + spent.system for spent in times))
