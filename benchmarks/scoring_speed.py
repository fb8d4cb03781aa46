"""Times scoring against a loop over scikit-learn's local outlier factor, in one run on one thread.

The whole step has two baselines: that loop, which computes nothing but outlier factors, and the same step,
all terms of it, by NumPy and scikit-learn in float64. Ratios travel between machines, seconds do not. Every
figure is a median over rounds, and the rounds alternate between the sides so that a busy machine slows all.
pyod is timed where it is installed (extra `bench`). `--device cuda` times the GPU against the same baselines
and checks that it says what the CPU says.
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
from importlib.util import find_spec
from typing import NamedTuple

import torch
from sklearn.neighbors import LocalOutlierFactor
from torch import Tensor

from scoring import local_outlier_factor, score_shard
from scoring.differential import differential_literal
from tests.support.scoring_in_numpy import score_in_numpy

DIMENSION = 1024
LOF_SIZES = ((16, 256), (64, 64), (256, 8))
"""Encoders and items of the outlier factor's benchmark."""
SHARD_SIZES = ((8, 64), (16, 256), (64, 64))
"""Encoders and items of the whole step, two masks each."""
ATTACKED_SIZES = ((16, 256), (256, 8))
"""Encoders and items of the outlier factor on rows made to be slow."""
MEMORY_SIZES = (64, 1024, 4096)
"""Encoders whose outlier factor is measured for memory, two items each."""
STEP_MEMORY_SIZES = ((16, 256), (64, 64), (1024, 64))
"""Encoders and items of the whole step that is measured for memory."""
PARITY_MAX = 1e-4
"""Largest relative difference of an outlier factor between two devices."""
LOOP_ITEMS_MAX = 8
"""Items the scikit-learn loop really runs; its time is scaled to all, being the same for each item."""

_PEAK = """
import ctypes, pathlib, torch
from benchmarks.scoring_speed import answers
from scoring import local_outlier_factor, score_shard

def kib(field):
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split(field)[1].split()[0])

def step(views):
    share = torch.full((views.shape[1], 2), 0.4)
    return score_shard(views[:, :, 0], views[:, :, 1:3], views[:, :, 3:], share)

def outlier_factor(views):
    return local_outlier_factor(views[:, :, 0].transpose(0, 1), reach_floor=0.75)

torch.set_num_threads(1)
views = answers({encoders}, {items}, {views})
{what}(answers(8, 64, {views}))  # compiles
ctypes.CDLL(None).malloc_trim(0)  # or memory that was freed is used again and seen by nobody
pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
before = kib("VmRSS:")
{what}(views)
print(kib("VmHWM:") - before)
"""


class Taken(NamedTuple):
    """Medians of one action."""

    seconds: float
    """Of the clock on the wall."""
    processor_seconds: float
    """Of the processor, which wait for nobody."""


@dataclass(frozen=True)
class Figure:
    """One line of the result."""

    name: str
    seconds: float
    baseline_seconds: float
    ratio: float
    """baseline / ours: above 1 is faster than the baseline."""
    processor_seconds: float
    processor_ratio: float
    """The same in processor time. On a GPU it says nothing."""


def medians(rounds: int, *actions: Callable[[], object]) -> list[Taken]:
    """Medians of each action, taken in turns after one warm-up, which compiles the kernels."""
    times: list[list[Taken]] = [[] for _ in actions]
    for turn in range(rounds + 1):
        for action, taken in zip(actions, times, strict=True):
            start, worked = time.perf_counter(), time.process_time()
            action()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:
                taken.append(Taken(time.perf_counter() - start, time.process_time() - worked))
    return [Taken(*(statistics.median(one) for one in zip(*taken, strict=True))) for taken in times]


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


def pyod_loop(rows: Tensor, neighbors: int) -> None:
    """The same through pyod, which wraps scikit-learn and ranks its own scores. rows [items, N, D]."""
    from pyod.models.lof import LOF

    for item in rows.double().numpy():
        LOF(n_neighbors=neighbors).fit(item)


def compare(name: str, ours: Taken, baseline: Taken, share: float = 1.0) -> Figure:
    """One figure with its ratios to the baseline, or to as much as `share` of it."""
    seconds, worked = (share * value for value in baseline)
    ratios = seconds / ours.seconds, worked / ours.processor_seconds
    return Figure(name, ours.seconds, seconds, ratios[0], ours.processor_seconds, ratios[1])


def outlier_factor(rounds: int, encoders: int, items: int, device: str) -> list[Figure]:
    """Local outlier factor of one role against the loop, a GEMM of as many operations, a sum of the bytes."""
    rows = answers(encoders, items, 1)[:, :, 0].transpose(0, 1)
    few, neighbors = rows[:LOOP_ITEMS_MAX], encoders // 2
    there = rows.to(device)
    left, right = torch.randn(1024, 1024, device=device), torch.randn(1024, 1024, device=device)
    others = [lambda: pyod_loop(few, neighbors)] if find_spec("pyod") else []
    ours, loop, total, gemm, *pyod = medians(
        rounds,
        lambda: local_outlier_factor(there, n_neighbors=neighbors),
        lambda: sklearn_loop(few, neighbors),
        lambda: there.sum(),
        lambda: left @ right,
        *others,
    )
    check_parity(rows, there, neighbors)
    name = f"lof N={encoders} I={items}"
    # A subtraction, a multiplication and an addition for every coordinate of every pair.
    operations = 3 * items * encoders * (encoders - 1) // 2 * DIMENSION
    return [
        compare(f"{name} / sklearn loop", ours, loop, items / len(few)),
        *(compare(f"{name} / pyod loop", ours, taken, items / len(few)) for taken in pyod),
        compare(f"{name}, {operations / 1e9:.2f} GFLOP / GEMM", ours, gemm, operations / (2 * 1024**3)),
        compare(f"{name}, {rows.numel() * 4 / 1e6:.0f} MB / sum()", ours, total),
    ]


def check_parity(rows: Tensor, there: Tensor, neighbors: int) -> None:
    """Fail if another device says something else than the CPU."""
    ours = local_outlier_factor(rows, n_neighbors=neighbors)
    theirs = local_outlier_factor(there, n_neighbors=neighbors).cpu()
    apart = float(((ours - theirs).abs() / ours).max())
    if not apart <= PARITY_MAX:
        raise SystemExit(f"outlier factors on {there.device} differ by {apart:.1e} from those on the CPU")


def memory_bytes(what: str, encoders: int, items: int, views: int) -> int:
    """Peak memory that `what` of the script above takes beyond its input, in a process of its own."""
    code = _PEAK.format(what=what, encoders=encoders, items=items, views=views)
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return int(told.stdout) * 1024


def memory() -> dict[str, int]:
    """Peak bytes beyond the input: the outlier factor of two items, and the whole step."""
    factors = {f"lof N={count} I=2": memory_bytes("outlier_factor", count, 2, 1) for count in MEMORY_SIZES}
    steps = {
        f"score_shard N={count} I={items} K=2": memory_bytes("step", count, items, 5)
        for count, items in STEP_MEMORY_SIZES
    }
    return factors | steps


def hostile_variants(benign: Tensor) -> dict[str, Tensor]:
    """The same rows [items, N, D] made to be slow."""
    encoders = benign.shape[1]
    half, groups, jitter = encoders // 2, torch.arange(encoders) % 4, 1e-5 * benign
    return {
        "all identical": benign[:, :1].expand_as(benign).contiguous(),
        "all within 1e-5": benign[:, :1] + jitter,
        "half identical": torch.cat([benign[:, :1].expand(-1, half, -1), benign[:, half:]], 1),
        "four tight groups": benign[:, groups] + jitter,
    }


def outlier_factor_attacked(rounds: int, encoders: int, items: int, device: str) -> list[Figure]:
    """Outlier factor on rows made to be slow, against its own benign time: 0.2 is five times slower."""
    benign = answers(encoders, items, 1)[:, :, 0].transpose(0, 1)
    half = encoders // 2
    figures, here = [], benign.to(device)
    for name, attack in hostile_variants(benign).items():
        rows = attack.to(device)
        attacked, plain = medians(
            rounds,
            lambda rows=rows: local_outlier_factor(rows, n_neighbors=half),  # type: ignore[misc]
            lambda: local_outlier_factor(here, n_neighbors=half),
        )
        figures.append(compare(f"lof N={encoders} I={items}, {name} / benign", attacked, plain))
    return figures


def whole_step(rounds: int, encoders: int, items: int, device: str, masks: int = 2) -> list[Figure]:
    """score_shard, every term of it, against two baselines.

    The loop over all roles, which is the outlier factor alone, and the same step in float64. Ours once as in
    epoch 0, which has to find the encoders' means first, and once with the means given.
    """
    views = answers(encoders, items, 1 + 2 * masks)
    # The parts make up the whole, or nobody scores and the step ends before the consensus.
    views[:, :, 0] = torch.nn.functional.normalize(
        0.4 * views[:, :, 1] + 0.6 * views[:, :, 1 + masks], dim=-1
    )
    shard = (
        views[:, :, 0],
        views[:, :, 1 : 1 + masks],
        views[:, :, 1 + masks :],
        torch.full((items, masks), 0.4),
    )
    few, neighbors = shard[0].transpose(0, 1)[:LOOP_ITEMS_MAX], encoders // 2
    full, mask, inverse, share = (one.to(device) for one in shard)
    means = views.mean((1, 2)).to(device)
    others = [lambda: pyod_loop(few, neighbors)] if find_spec("pyod") else []
    ours, given, loop, same, *pyod = medians(
        rounds,
        lambda: score_shard(full, mask, inverse, share),
        lambda: score_shard(full, mask, inverse, share, means=means),
        lambda: sklearn_loop(few, neighbors),
        lambda: score_in_numpy(*shard),
        *others,
    )
    name, share_of_loop = f"score_shard N={encoders} I={items} K={masks}", items / len(few) * (1 + 2 * masks)
    return [
        compare(f"{name} / sklearn loop, LOF only", ours, loop, share_of_loop),
        compare(f"{name} / same step in float64", ours, same),
        *(compare(f"{name} / pyod loop, LOF only", ours, taken, share_of_loop) for taken in pyod),
        compare(f"{name}, means given / sklearn loop, LOF only", given, loop, share_of_loop),
    ]


def literal_loss(rounds: int, masks: int, device: str) -> Figure:
    """The literal loss against a plain sum over the same bytes: the ratio is a share of bandwidth."""
    views = answers(16, 256, 1 + 2 * masks).to(device)  # as a validator's slab lies in memory
    parts = views[:, :, 0], views[:, :, 1 : 1 + masks], views[:, :, 1 + masks :]
    counted = torch.ones(16, 256, dtype=torch.bool, device=device)
    ours, plain = medians(rounds, lambda: differential_literal(*parts, counted), views.sum)
    return compare(f"differential_literal N=16 I=256 K={masks} / sum()", ours, plain)


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
    figures += [literal_loss(rounds, masks, device) for masks in (1, 2)]
    figures += [figure for size in SHARD_SIZES for figure in whole_step(rounds, *size, device)]
    peaks = memory() if device == "cpu" else {}
    if options.json:
        lines = json.dumps(
            {
                "dimension": DIMENSION,
                "device": device,
                "figures": [asdict(figure) for figure in figures],
                "peak_bytes": peaks,
            },
            indent=2,
        )
    else:
        lines = f"{'':60s} {'wall-clock':>24s} {'processor':>24s}\n"
        lines += "\n".join(
            f"{figure.name:60s} {figure.seconds * 1e3:12.1f} ms {figure.ratio:6.2f} x"
            f" {figure.processor_seconds * 1e3:12.1f} ms {figure.processor_ratio:6.2f} x"
            for figure in figures
        )
        lines += "".join(f"\n{name} takes {size / 1e6:.0f} MB" for name, size in peaks.items())
    sys.stdout.write(lines + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
