"""What an attacker costs a network of real processes: `python benchmarks/attack.py [--minutes 10] [--json]`.

Turns of peace and of attack alternate. Figures: growth and slope of every node's resident memory (workers
included), median latency from challenge to certificate with and without the attacker, and their ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import structlog

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.chaos.network import Shape, running_network
from tests.chaos.siege import MIB, Siege

SLOT_MS = 8_000
LOUD_EACH_TURN = 2
QUIET = 1
WARM_ROUNDS = 4
COURSE_POINTS = 12


def measure(root: Path, minutes: float, turn_s: float, *, peaceful: bool) -> dict[str, Any]:
    """Run the network for so long, every second turn under attack, and say what was seen."""
    turns = max(2, round(minutes * 60 / turn_s))
    attacks = 0 if peaceful else turns // 2
    shape = Shape(observers=1 + QUIET + attacks * LOUD_EACH_TURN, slot_ms=SLOT_MS, masks=2)
    with running_network(root, shape) as network:
        network.until_certified("validator-1", WARM_ROUNDS, 0, timeout_s=180)
        keys = [plan.directory / "key" for plan in network.observers[1:]]
        quiet, loud = keys[:QUIET], keys[QUIET:]
        siege = Siege(network, root / "attacker.log")
        for number in range(turns):
            if number % 2 and attacks:
                siege.turn(turn_s, loud=[loud.pop() for _ in range(LOUD_EACH_TURN)], quiet=quiet)
            else:
                siege.turn(turn_s)
            say(f"turn {number + 1} of {turns}: {'attack' if siege.turns[-1][0] else 'peace'}; {load()}")
        network.until_certified("validator-1", 1, network.round_now())
        network.assert_nobody_said_two_things()
        return figures(siege, attacked=bool(attacks))


def figures(siege: Siege, *, attacked: bool) -> dict[str, Any]:
    """The record of the run."""
    found: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "load": load(),
        "fallen": siege.network.fleet.fallen(),
        "memory_mib": {
            name: {
                "first": round(sizes[0][1] / MIB, 1),
                "last": round(sizes[-1][1] / MIB, 1),
                "growth": round(siege.growth_bytes(name) / MIB, 1),
                "slope_per_minute": round(siege.slope_bytes_per_min(name) / MIB, 2),
                "course": [round(size / MIB) for _, size in sizes[:: max(1, len(sizes) // COURSE_POINTS)]],
            }
            for name, sizes in sorted(siege.memory.items())
        },
    }
    for name, hit in (("peace", False), ("attack", True)):
        latencies_ms = siege.latencies_ms(hit)
        found[name] = {
            "cores_busy_with_nodes": round(siege.cores(hit), 2),
            "rounds_dealt": siege.dealt(hit),
            "rounds_certified": len(latencies_ms),
            "latency_median_ms": median(latencies_ms) if latencies_ms else None,
        }
    if attacked:
        found["latency_ratio"] = round(siege.ratio(), 3)
        found["penalties"] = dict(siege.penalised().most_common())
        found["attacks"] = dict(sorted(siege.done.items()))
    return found


def load() -> str:
    """Load of the machine, which these figures depend on."""
    return "load " + " ".join(f"{one:.1f}" for one in os.getloadavg())


def say(line: str) -> None:
    """A line for whoever waits."""
    sys.stderr.write(line + "\n")


def main() -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--turn-s", type=float, default=60.0, help="length of one turn in seconds")
    parser.add_argument("--peaceful", action="store_true", help="without the attacker: what time alone does")
    parser.add_argument("--json", action="store_true", help="only JSON on standard output")
    given = parser.parse_args()
    # Standard output is for the result.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with tempfile.TemporaryDirectory(prefix="deltamesh-attack-") as folder:
        found = measure(Path(folder), given.minutes, given.turn_s, peaceful=given.peaceful)
    if given.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    for key, value in found.items():
        if isinstance(value, dict):
            sys.stdout.write(f"{key}:\n")
            sys.stdout.writelines(f"  {name}: {one}\n" for name, one in value.items())
        else:
            sys.stdout.write(f"{key}: {value}\n")


if __name__ == "__main__":
    main()
