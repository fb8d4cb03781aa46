"""A network by Compose for a while: `python -m benchmarks.compose_run --minutes 30 --json run.json`.

4 validators and 12 encoders from docker-compose.yml, under a project name of their own and removed at the
end. It tells how many rounds were dealt and certified, how fast each container's memory grows (least squares
over samples of its cgroup: anonymous memory, which no kernel can drop), restarts, and errors in the logs. The
first minutes, in which models load and caches fill, count for the rounds but not for the slopes.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import time
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.support.compose import (
    IMAGE,
    Compose,
    build_image,
    docker,
    engine_answers,
    log_errors,
    wait_for,
)

SAMPLE_EVERY_S = 15.0
UP_S = 600
MIB = 1 << 20
# Of cgroup v2, then v1: what the processes hold, without the page cache.
MEMORY = (
    "cat /sys/fs/cgroup/memory.stat /sys/fs/cgroup/memory/memory.stat 2>/dev/null"
    " | awk '/^(anon|total_rss) /{print $2; exit}'"
)


def slope_mb_an_hour(samples: list[tuple[float, int]]) -> float | None:
    """Least squares over (seconds, bytes), in MB of 10^6 bytes an hour; None of fewer than three."""
    if len(samples) < 3:
        return None
    mean_s = sum(at for at, _ in samples) / len(samples)
    mean_bytes = sum(size for _, size in samples) / len(samples)
    spread = sum((at - mean_s) ** 2 for at, _ in samples)
    return sum((at - mean_s) * (size - mean_bytes) for at, size in samples) / spread * 3600 / 1e6


def sample(compose: Compose) -> dict[str, int]:
    """Bytes of anonymous memory of each running container, by name."""
    found = {}
    for container in compose.containers():
        if container["State"]["Running"]:
            said = docker("exec", container["Id"], "sh", "-c", MEMORY, check=False).strip()
            if said.isdigit():
                found[container["Name"].lstrip("/")] = int(said)
    return found


def watch(compose: Compose, first: int, minutes: float, settle_minutes: float) -> dict[str, Any]:
    """Sample until the time is up; what came of it. Rounds count from `first` on: before, nodes start."""
    began_s = time.monotonic()
    memory: dict[str, list[tuple[float, int]]] = defaultdict(list)
    states: dict[int, str] = {}
    while (elapsed_s := time.monotonic() - began_s) < minutes * 60:
        for name, size in sample(compose).items():
            memory[name].append((elapsed_s, size))
        document = compose.get("/v1/rounds?limit=100") or {"rounds": []}
        states |= {one["round"]: one["state"] for one in document["rounds"] if one["round"] >= first}
        sys.stderr.write(f"\r{elapsed_s / 60:5.1f} min, {len(states)} rounds known")
        time.sleep(max(0.0, SAMPLE_EVERY_S - (time.monotonic() - began_s - elapsed_s)))
    sys.stderr.write("\n")
    # A round is certified or given up some slots after it was dealt: the last ones are still open.
    known = sorted(states)
    settled = [number for number in known if number <= known[-1] - 4] if known else []
    containers = compose.containers()
    return {
        "minutes": minutes,
        "rounds_dealt": len(settled),
        "rounds_certified": sum(states[number] == "certified" for number in settled),
        "not_certified": {number: states[number] for number in settled if states[number] != "certified"},
        "memory": {
            name: {
                "last_mib": round(samples[-1][1] / MIB, 1),
                "max_mib": round(max(size for _, size in samples) / MIB, 1),
                "slope_mb_an_hour": slope_mb_an_hour(
                    [one for one in samples if one[0] >= settle_minutes * 60]
                ),
            }
            for name, samples in sorted(memory.items())
        },
        "restarts": {
            one["Name"].lstrip("/"): one["RestartCount"] for one in containers if one["RestartCount"]
        },
        "log_errors": {
            one["Name"].lstrip("/"): lines[:20] for one in containers if (lines := log_errors(one))
        },
    }


def table(run: dict[str, Any]) -> str:
    """What a person reads of it."""
    errors, restarts = sum(map(len, run["log_errors"].values())), sum(run["restarts"].values())
    dealt, certified = run["rounds_dealt"], run["rounds_certified"]
    lines = [
        f"up after {run['up_s']:.0f} s, first certified round after {run['first_certified_s']:.0f} s",
        f"{certified} of {dealt} rounds dealt were certified in {run['minutes']:g} min",
        f"errors in logs: {errors}, restarts: {restarts}",
        "",
        "| container | MiB | most | MB an hour |",
        "|---|---:|---:|---:|",
    ]
    for name, one in run["memory"].items():
        slope = one["slope_mb_an_hour"]
        lines.append(
            f"| {name} | {one['last_mib']} | {one['max_mib']} | {'-' if slope is None else f'{slope:+.1f}'} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Bring it up, watch it, take it down."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--settle-minutes", type=float, default=None, help="default: a third, at most 10")
    parser.add_argument("--encoders", type=int, default=12)
    parser.add_argument("--image", help="an image there is; default: built from this source")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if not engine_answers():
        raise SystemExit("no container engine answers `docker info`: start one first")
    settle = options.settle_minutes if options.settle_minutes is not None else min(10.0, options.minutes / 3)
    build_s = None if options.image else build_image()
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = int(probe.getsockname()[1])
    compose = Compose(
        f"deltamesh-run-{uuid4().hex[:8]}",
        options.image or IMAGE,
        port,
        {
            "ENCODERS": str(options.encoders),
            "PREPARED_ENCODERS": str(options.encoders),
            "PREPARED_CHEATERS": "0",
        },
    )
    load = os.getloadavg()[0]
    began_s = time.monotonic()
    try:
        compose.run("up", "--detach", "--no-build", timeout_s=UP_S)
        up_s = time.monotonic() - began_s
        first = wait_for("a certified round", lambda: compose.rounds("certified") or None, UP_S)[-1]
        first_s = time.monotonic() - began_s
        run = watch(compose, first, options.minutes, settle)
    finally:
        compose.down()
    size = int(docker("image", "inspect", "-f", "{{.Size}}", options.image or IMAGE))
    run |= {
        "load_before": load,
        "up_s": up_s,
        "first_certified_s": first_s,
        "build_s": build_s,
        "image_bytes": size,
    }
    if options.json is not None:
        options.json.write_text(json.dumps(run, indent=1) + "\n")
    sys.stdout.write(table(run))


if __name__ == "__main__":
    main()
