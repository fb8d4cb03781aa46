"""Times scoring against a loop over scikit-learn's local outlier factor, in one run on one thread.

Ratios travel between machines, seconds do not. Every figure is a median over rounds, and the rounds
alternate between the two sides so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import json
import statistics
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
LOOP_ITEMS_MAX = 8
"""Items the scikit-learn loop really runs; its time is scaled to all, being the same for each item."""


@dataclass(frozen=True)
class Figure:
    """One line of the result."""

    name: str
    seconds: float
    baseline_seconds: float
    ratio: float
    """baseline / ours: above 1 is faster than the baseline."""


def medians(rounds: int, *actions: Callable[[], object]) -> list[float]:
    """Median seconds of each action, taken in turns after one warm-up."""
    times: list[list[float]] = [[] for _ in actions]
    for turn in range(rounds + 1):
        for action, taken in zip(actions, times, strict=True):
            start = time.perf_counter()
            action()
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


def sklearn_loop(rows: Tensor, neighbours: int) -> None:
    """The baseline: one float64 fit an item. rows [items, N, D]."""
    for item in rows.double().numpy():
        LocalOutlierFactor(n_neighbors=neighbours).fit(item)


def compare(name: str, ours: float, baseline: float) -> Figure:
    """One figure with its ratio."""
    return Figure(name, ours, baseline, baseline / ours)


def outlier_factor(rounds: int, encoders: int, items: int) -> Figure:
    """Local outlier factor of one role against the loop."""
    rows = answers(encoders, items, 1)[:, :, 0].transpose(0, 1)
    few, neighbours = rows[:LOOP_ITEMS_MAX], encoders // 2
    ours, loop = medians(
        rounds,
        lambda: local_outlier_factor(rows, n_neighbors=neighbours),
        lambda: sklearn_loop(few, neighbours),
    )
    return compare(f"lof N={encoders} I={items} / sklearn loop", ours, loop * items / len(few))


def outlier_factor_attacked(rounds: int, encoders: int, items: int) -> list[Figure]:
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
    figures = []
    for name, rows in attacks.items():
        attacked, plain = medians(
            rounds,
            lambda rows=rows: local_outlier_factor(rows, n_neighbors=half),  # type: ignore[misc]
            lambda: local_outlier_factor(benign, n_neighbors=half),
        )
        figures.append(compare(f"lof N={encoders} I={items}, {name} / benign", attacked, plain))
    return figures


def whole_step(rounds: int, encoders: int, items: int, masks: int = 2) -> Figure:
    """score_shard, every term of it, against the loop over all roles, which is the outlier factor alone."""
    views = answers(encoders, items, 1 + 2 * masks)
    full, mask, inverse = views[:, :, 0], views[:, :, 1 : 1 + masks], views[:, :, 1 + masks :]
    share = torch.full((items, masks), 0.4)
    few, neighbours = full.transpose(0, 1)[:LOOP_ITEMS_MAX], encoders // 2
    ours, loop = medians(
        rounds, lambda: score_shard(full, mask, inverse, share), lambda: sklearn_loop(few, neighbours)
    )
    name = f"score_shard N={encoders} I={items} K={masks} / sklearn loop"
    return compare(name, ours, loop * items / len(few) * (1 + 2 * masks))


def literal_loss(rounds: int) -> Figure:
    """The literal loss against a plain sum over the same bytes: the ratio is a share of bandwidth."""
    views = answers(16, 256, 3)
    full, mask, inverse = (
        views[:, :, 0].contiguous(),
        views[:, :, 1:2].contiguous(),
        views[:, :, 2:].contiguous(),
    )
    counted = torch.ones(16, 256, dtype=torch.bool)
    flat = views.flatten()
    ours, plain = medians(rounds, lambda: differential_literal(full, mask, inverse, counted), flat.sum)
    return compare("differential_literal N=16 I=256 K=1 / sum()", ours, plain)


def main(arguments: list[str] | None = None) -> int:
    """Run all figures and print them, one a line or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds; the median is reported")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    figures = [outlier_factor(options.rounds, *size) for size in LOF_SIZES]
    figures += outlier_factor_attacked(options.rounds, 16, 256)
    figures += [literal_loss(options.rounds)]
    figures += [whole_step(options.rounds, *size) for size in SHARD_SIZES]
    if options.json:
        lines = json.dumps(
            {"dimension": DIMENSION, "figures": [asdict(figure) for figure in figures]}, indent=2
        )
    else:
        lines = "\n".join(
            f"{figure.name:48s} {figure.seconds * 1e3:9.1f} ms  {figure.ratio:7.2f} x" for figure in figures
        )
    sys.stdout.write(lines + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
