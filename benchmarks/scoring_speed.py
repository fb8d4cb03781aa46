"""Times scoring against a loop over scikit-learn's local outlier factor, in one run on one thread.

Ratios travel between machines, seconds do not. Every figure is a median over rounds, and the rounds
alternate between the two sides so that a busy machine slows both. `--device cuda` times the GPU against the
same loop and checks that it says what the CPU says.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from sklearn.neighbors import LocalOutlierFactor
from torch import Tensor

from scoring import local_outlier_factor, score_shard
from scoring.differential import differential_literal

DIMENSION = 1024
LOF_SIZES = ((16, 256), (64, 64), (256, 8))
"""Encoders and items of the outlier factor's benchmark."""
SHARD_SIZES = ((8, 64), (16, 256), (64, 64))
"""Encoders and items of the whole step, two masks each."""
ATTACKED_SIZES = ((16, 256), (256, 8))
"""Encoders and items of the outlier factor on rows made to be slow."""
MEMORY_SIZES = (64, 1024, 4096)
"""Encoders whose outlier factor is measured for memory, two items each."""
PARITY_MAX = 1e-4
"""Largest relative difference of an outlier factor between two devices."""
LOOP_ITEMS_MAX = 8
"""Items the scikit-learn loop really runs; its time is scaled to all, being the same for each item."""

_PEAK = """
import pathlib, torch
from scoring import local_outlier_factor

def kib(field):
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split(field)[1].split()[0])

torch.set_num_threads(1)
rows = torch.randn(2, {encoders}, {dimension}).abs_()
local_outlier_factor(rows[:, :8], reach_floor=0.75)  # compiles
pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
before = kib("VmRSS:")
local_outlier_factor(rows, reach_floor=0.75)
print(kib("VmHWM:") - before)
"""


@dataclass(frozen=True)
class Figure:
    """One line of the result."""

    name: str
    seconds: float
    baseline_seconds: float
    ratio: float
    """baseline / ours: above 1 is faster than the baseline."""


def medians(rounds: int, *actions: Callable[[], object]) -> list[float]:
    """Median seconds of each action, taken in turns after one warm-up, which compiles the kernels."""
    times: list[list[float]] = [[] for _ in actions]
    for turn in range(rounds + 1):
        for action, taken in zip(actions, times, strict=True):
            start = time.perf_counter()
            action()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:
                taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in times]


def answers(encoders: int, items: int, views: int, closeness: float = 1.0) -> Tensor:
    """Unit answers of encoders that agree in part. [N, I, V, D]; the smaller `closeness`, the more alike."""
    draw = torch.Generator().manual_seed(encoders + items)
    item = torch.randn(1, items, 1, DIMENSION, generator=draw)
    view = torch.randn(1, items, views, DIMENSION, generator=draw)
    own = torch.randn(encoders, items, views, DIMENSION, generator=draw)
    return torch.nn.functional.normalize(item + 0.7 * view + closeness * own, dim=-1)


def sklearn_loop(rows: Tensor, neighbors: int) -> None:
    """The baseline: one float64 fit an item. rows [items, N, D]."""
    for item in rows.double().numpy():
        LocalOutlierFactor(n_neighbors=neighbors).fit(item)


def compare(name: str, ours: float, baseline: float) -> Figure:
    """One figure with its ratio."""
    return Figure(name, ours, baseline, baseline / ours)


def outlier_factor(rounds: int, encoders: int, items: int, device: str) -> list[Figure]:
    """Local outlier factor of one role against the loop, a GEMM of as many operations, a sum of the bytes."""
    rows = answers(encoders, items, 1)[:, :, 0].transpose(0, 1)
    few, neighbors = rows[:LOOP_ITEMS_MAX], encoders // 2
    there = rows.to(device)
    left, right = torch.randn(1024, 1024, device=device), torch.randn(1024, 1024, device=device)
    ours, loop, total, gemm = medians(
        rounds,
        lambda: local_outlier_factor(there, n_neighbors=neighbors),
        lambda: sklearn_loop(few, neighbors),
        lambda: there.sum(),
        lambda: left @ right,
    )
    check_parity(rows, there, neighbors)
    name = f"lof N={encoders} I={items}"
    # A subtraction, a multiplication and an addition for every coordinate of every pair.
    operations = 3 * items * encoders * (encoders - 1) // 2 * DIMENSION
    peak = gemm * operations / (2 * 1024**3)
    return [
        compare(f"{name} / sklearn loop", ours, loop * items / len(few)),
        compare(f"{name}, {operations / 1e9:.2f} GFLOP / GEMM", ours, peak),
        compare(f"{name}, {rows.numel() * 4 / 1e6:.0f} MB / sum()", ours, total),
    ]


def check_parity(rows: Tensor, there: Tensor, neighbors: int) -> None:
    """Fail if another device says something else than the CPU."""
    ours = local_outlier_factor(rows, n_neighbors=neighbors)
    theirs = local_outlier_factor(there, n_neighbors=neighbors).cpu()
    apart = float(((ours - theirs).abs() / ours).max())
    if not apart <= PARITY_MAX:
        raise SystemExit(f"outlier factors on {there.device} differ by {apart:.1e} from those on the CPU")


def memory_bytes(encoders: int) -> int:
    """Peak memory that the outlier factor of two items takes beyond its input, in a process of its own."""
    told = subprocess.run(
        [sys.executable, "-c", _PEAK.format(encoders=encoders, dimension=DIMENSION)],
        check=True,
        capture_output=True,
    )
    return int(told.stdout) * 1024


def outlier_factor_attacked(rounds: int, encoders: int, items: int, device: str) -> list[Figure]:
    """Outlier factor on rows made to be slow, against its own benign time: 0.2 is five times slower."""
    benign = answers(encoders, items, 1)[:, :, 0].transpose(0, 1)
    half = encoders // 2
    groups = torch.arange(encoders) % 4
    jitter = 1e-5 * answers(encoders, items, 1)[:, :, 0].transpose(0, 1)
    attacks = {
        "all identical": benign[:, :1].expand_as(benign).contiguous(),
        "all within 1e-5": benign[:, :1] + jitter,
        "half identical": torch.cat([benign[:, :1].expand(-1, half, -1), benign[:, half:]], 1),
        "four tight groups": benign[:, groups] + jitter,
    }
    figures, here = [], benign.to(device)
    for name, attack in attacks.items():
        rows = attack.to(device)
        attacked, plain = medians(
            rounds,
            lambda rows=rows: local_outlier_factor(rows, n_neighbors=half),  # type: ignore[misc]
            lambda: local_outlier_factor(here, n_neighbors=half),
        )
        figures.append(compare(f"lof N={encoders} I={items}, {name} / benign", attacked, plain))
    return figures


def whole_step(rounds: int, encoders: int, items: int, device: str, masks: int = 2) -> Figure:
    """score_shard, every term of it, against the loop over all roles, which is the outlier factor alone."""
    views = answers(encoders, items, 1 + 2 * masks)
    full, share = views[:, :, 0], torch.full((items, masks), 0.4)
    few, neighbors = full.transpose(0, 1)[:LOOP_ITEMS_MAX], encoders // 2
    there = views.to(device)
    parts = there[:, :, 0], there[:, :, 1 : 1 + masks], there[:, :, 1 + masks :], share.to(device)
    ours, loop = medians(rounds, lambda: score_shard(*parts), lambda: sklearn_loop(few, neighbors))
    name = f"score_shard N={encoders} I={items} K={masks} / sklearn loop"
    return compare(name, ours, loop * items / len(few) * (1 + 2 * masks))


def literal_loss(rounds: int, device: str) -> Figure:
    """The literal loss against a plain sum over the same bytes: the ratio is a share of bandwidth."""
    views = answers(16, 256, 3).to(device)
    full, mask, inverse = (
        views[:, :, 0].contiguous(),
        views[:, :, 1:2].contiguous(),
        views[:, :, 2:].contiguous(),
    )
    counted = torch.ones(16, 256, dtype=torch.bool, device=device)
    flat = views.flatten()
    ours, plain = medians(rounds, lambda: differential_literal(full, mask, inverse, counted), flat.sum)
    return compare("differential_literal N=16 I=256 K=1 / sum()", ours, plain)


def main(arguments: list[str] | None = None) -> int:
    """Run all figures and print them, one a line or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds; the median is reported")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rounds, device = options.rounds, options.device
    figures = [figure for size in LOF_SIZES for figure in outlier_factor(rounds, *size, device)]
    for size in ATTACKED_SIZES:
        figures += outlier_factor_attacked(rounds, *size, device)
    figures += [literal_loss(rounds, device)]
    figures += [whole_step(rounds, *size, device) for size in SHARD_SIZES]
    memory = {count: memory_bytes(count) for count in MEMORY_SIZES} if device == "cpu" else {}
    if options.json:
        lines = json.dumps(
            {
                "dimension": DIMENSION,
                "device": device,
                "figures": [asdict(figure) for figure in figures],
                "lof_bytes": memory,
            },
            indent=2,
        )
    else:
        lines = "\n".join(
            f"{figure.name:52s} {figure.seconds * 1e3:9.1f} ms  {figure.ratio:7.2f} x" for figure in figures
        )
        lines += "".join(f"\nlof N={count} takes {size / 1e6:.0f} MB" for count, size in memory.items())
    sys.stdout.write(lines + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
