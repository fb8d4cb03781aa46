"""What scoring takes on a GPU: time, kernels launched, memory, and the share of what the device can do.

`scoring_speed --device cuda` sets the same computations beside scikit-learn; here they stand beside a large
copy (bandwidth) and large matrix products (arithmetic), measured first on the same device.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.scoring_speed import DIMENSION, answers, hostile_variants, sklearn_loop
from scoring import local_outlier_factor, score_shard
from scoring.differential import differential_literal

LOF_SIZES = ((16, 256), (64, 64), (256, 8), (1024, 2), (4096, 1))
"""Encoders and items of the outlier factor."""
STEP_SIZES = ((8, 64), (16, 256), (64, 64), (64, 256), (256, 64), (1024, 64))
"""Encoders and items of the whole step, two masks each."""
_MASKS = 2
_COPY_BYTES = 1 << 30
_GEMM_ROWS = 8192
_LOOP_PAIRS_MAX = 1 << 19
"""Pairs that the scikit-learn loop really compares, but for one item; its time is scaled to all items."""


@dataclass
class Measured:
    """One computation on the device."""

    name: str
    ms: float
    """Median, from the call to the end of its last kernel."""
    kernels: int
    """Kernels launched."""
    busy_ms: float
    """Of which the device computed."""
    extra_mb: float
    """Peak memory beyond what was allocated before."""
    shares: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        shares = ", ".join(f"{name} {value:.3f}" for name, value in self.shares.items())
        return (
            f"{self.name:34s} {self.ms:8.2f} ms, {self.busy_ms:8.2f} ms busy, {self.kernels:5d} kernels,"
            f" {self.extra_mb:6.1f} MB extra; {shares}"
        )


def timed_ms(rounds: int, action: Callable[[], object]) -> float:
    """Median of wall-clock times, each until the device is done."""
    taken = []
    for turn in range(rounds + 2):
        torch.cuda.synchronize()
        start = time.perf_counter()
        action()
        torch.cuda.synchronize()
        if turn > 1:
            taken.append(1e3 * (time.perf_counter() - start))
    return statistics.median(taken)


def measured(name: str, rounds: int, action: Callable[[], object]) -> Measured:
    """Time, launches and memory of an action."""
    ms = timed_ms(rounds, action)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    action()
    extra = torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        action()
        torch.cuda.synchronize()
    found = [one for one in seen.key_averages() if one.self_device_time_total > 0]
    kernels = [one for one in found if not one.key.startswith("Mem")]
    busy_ms = sum(one.self_device_time_total for one in kernels) / 1e3
    return Measured(name, ms, sum(one.count for one in kernels), busy_ms, extra / 1e6)


def product_flops(rounds: int, dtype: torch.dtype) -> float:
    """Operations a second of a large matrix product."""
    left, right = torch.randn(2, _GEMM_ROWS, _GEMM_ROWS, device="cuda", dtype=dtype)
    return 2 * _GEMM_ROWS**3 / timed_ms(rounds, lambda: left @ right) * 1e3


def copy_bytes_s(rounds: int) -> float:
    """Bytes a second of a large copy, read and written."""
    source = torch.randn(_COPY_BYTES // 4, device="cuda")
    target = torch.empty_like(source)
    return 2 * _COPY_BYTES / timed_ms(rounds, lambda: target.copy_(source)) * 1e3


def outlier_factors(rounds: int, bandwidth: float, arithmetic: float) -> Iterator[Measured]:
    """Outlier factors of one role as its rows lie in a slab, benign and hostile."""
    for encoders, items in LOF_SIZES:
        here = answers(encoders, items, 1)[:, :, 0].transpose(0, 1)
        few = here[: min(8, max(1, _LOOP_PAIRS_MAX // encoders**2))]
        start = time.perf_counter()
        sklearn_loop(few, encoders // 2)
        loop_ms = 1e3 * (time.perf_counter() - start) * items / len(few)
        benign_ms = 0.0
        for name, x in {"": here, **hostile_variants(here)}.items():
            rows = x.cuda()
            one = measured(
                f"lof N={encoders} I={items} {name}",
                rounds,
                lambda rows=rows: local_outlier_factor(rows, reach_floor=0.75),  # type: ignore[misc]
            )
            if name:
                one.shares["over benign"] = one.ms / benign_ms
            else:
                benign_ms = one.ms
                operations = 2 * items * encoders**2 * DIMENSION
                one.shares["sklearn loop / ours"] = loop_ms / one.ms
                one.shares["bandwidth"] = rows.numel() * 4 / bandwidth / one.ms * 1e3
                one.shares["float32 GEMM"] = operations / arithmetic / one.ms * 1e3
            yield one


def whole_steps(rounds: int, bandwidth: float) -> Iterator[Measured]:
    """score_shard as in epoch 0, and the literal loss, on a validator's slab."""
    for encoders, items in STEP_SIZES:
        slab = torch.randn(encoders, items, 1 + 2 * _MASKS, DIMENSION, device="cuda")
        slab += 1.2 * torch.randn(1, items, 1 + 2 * _MASKS, DIMENSION, device="cuda")
        slab = torch.nn.functional.normalize(
            slab + 1.5 * torch.randn(1, items, 1, DIMENSION, device="cuda"), dim=-1
        )
        parts = slab[:, :, 0], slab[:, :, 1 : 1 + _MASKS], slab[:, :, 1 + _MASKS :]
        share = torch.full((items, _MASKS), 0.4, device="cuda")
        counted = torch.ones(encoders, items, dtype=torch.bool, device="cuda")
        size = f"N={encoders} I={items} K={_MASKS}"
        torch.cuda.empty_cache()
        for name, action in (
            ("score_shard", lambda parts=parts, share=share: score_shard(*parts, share)),  # type: ignore[misc]
            ("literal loss", lambda parts=parts, counted=counted: differential_literal(*parts, counted)),  # type: ignore[misc]
        ):
            one = measured(f"{name} {size}", rounds, action)
            one.shares["bandwidth"] = slab.numel() * 4 / bandwidth / one.ms * 1e3
            one.shares["sum() / ours"] = timed_ms(rounds, slab.sum) / one.ms
            yield one
        assert float(score_shard(*parts, share).score.min()) > 0, "a step that scores nobody leaves terms out"


def uploads(rounds: int) -> Iterator[tuple[str, float]]:
    """GB a second from pageable and from pinned memory to the device, and ms to pin it the first time."""
    for encoders, items in ((16, 256), (64, 256)):
        shape = (encoders, items, 1 + 2 * _MASKS, DIMENSION)
        size = 4 * torch.Size(shape).numel()
        pageable = torch.rand(shape)
        start = time.perf_counter()
        pinned = torch.empty(shape, pin_memory=True)
        yield f"{size / 1e6:.0f} MB: ms to pin", 1e3 * (time.perf_counter() - start)
        pinned.copy_(pageable)
        for name, slab in (("pageable", pageable), ("pinned", torch.from_numpy(pinned.numpy()))):
            ms = timed_ms(rounds, lambda slab=slab: slab.to("cuda"))  # type: ignore[misc]
            yield f"{size / 1e6:.0f} MB: {name} GB/s", size / ms / 1e6


def main(arguments: list[str] | None = None) -> int:
    """Run everything and print it, one computation a line or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=21, help="timed rounds; the median is reported")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    rounds = options.rounds
    bandwidth, arithmetic = copy_bytes_s(rounds), product_flops(rounds, torch.float32)
    ceilings = {
        "copy GB/s": bandwidth / 1e9,
        "float32 GEMM TFLOP/s": arithmetic / 1e12,
        "float64 GEMM TFLOP/s": product_flops(rounds, torch.float64) / 1e12,
        **dict(uploads(rounds)),
    }
    torch.cuda.empty_cache()
    say(
        ceilings if options.json else f"{torch.cuda.get_device_name()}, torch {torch.__version__}: {ceilings}"
    )
    for one in outlier_factors(rounds, bandwidth, arithmetic):
        say(asdict(one) if options.json else str(one))
    for one in whole_steps(rounds, bandwidth):
        say(asdict(one) if options.json else str(one))
    return 0


def say(line: object) -> None:
    """Print at once: a run that is stopped leaves what it measured."""
    sys.stdout.write((line if isinstance(line, str) else json.dumps(line)) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
