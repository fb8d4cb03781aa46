"""How fast a model is: called directly, aligned, and through the process a node runs it in."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Final

from node.encoders import DEFAULT_REFERENCE, load_encoder
from node.encoders.anchors import anchor_texts
from node.encoders.catalogue import AlignedEncoder, LiftedEncoder
from node.encoders.encoder import View
from node.model_process.client import ModelProcess, ModelSettings, OnAnchors

BATCHES: Final = (1, 16, 64, 256)
SECONDS_PER_BATCH: Final = 2.0
"""Of a fast model more runs are timed than asked for, until they took so long, or RUNS_MAX are timed."""
RUNS_MAX: Final = 200

Ask = Callable[[Sequence[View]], Any]


@dataclass(frozen=True, slots=True)
class BatchSpeed:
    """Of one size of batch: medians of views a second, and of what each turn paid more than a direct call."""

    batch: int
    runs: int
    model: float
    """The model called directly, in its own space."""
    aligned: float
    """The same in the shared space, in this process."""
    process: float
    """Through the model's process: what a node does."""
    overhead: float
    """Of the process over the aligned model, as a share."""
    overhead_with_alignment: float
    """Of the process over the model alone."""
    cpu_overhead: float | None
    """Of the process over the aligned model in CPU time of both processes, which others on the machine change
    little; None where the system does not say."""


@dataclass(frozen=True, slots=True)
class ModelBench:
    """What was timed."""

    model: str
    threads: int
    batches: tuple[BatchSpeed, ...]

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def bench_model(
    model: str,
    threads: int,
    runs: int,
    *,
    batches: Sequence[int] = BATCHES,
    on_anchors: OnAnchors = lambda _, __: None,
    on_batch: Callable[[], None] = lambda: None,
) -> ModelBench:
    """Time a model on texts that come with Python, one thread unless told. Raises EncoderError.

    The three ways take turns, in another order each time: what else the machine does falls on all of them.
    """
    texts = anchor_texts()[: max(batches)]
    with ExitStack() as stack:
        # One folder for both: the map is fitted once.
        maps = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        encoder = load_encoder(
            model, DEFAULT_REFERENCE, cache_dir=maps, threads=threads, on_anchors=on_anchors
        )
        assert isinstance(encoder, LiftedEncoder | AlignedEncoder)
        settings = ModelSettings(model, DEFAULT_REFERENCE, maps, threads, answer_within_s=600.0)
        process = stack.enter_context(ModelProcess(settings))
        process.start()
        pids = (os.getpid(), process.pid)
        ways: tuple[Ask, ...] = (encoder.native.embed, encoder.encode, process.encode)
        # Its batches grow to their full size, as they have in a node that runs.
        for _ in range(4):
            process.encode(texts)
        speeds = []
        for size in batches:
            speeds.append(_timed(ways, texts[:size], runs, pids))
            on_batch()
    return ModelBench(model, threads, tuple(speeds))


def _timed(ways: Sequence[Ask], views: Sequence[View], runs: int, pids: Sequence[int]) -> BatchSpeed:
    times: list[list[float]] = []
    cpu: list[list[float]] = []
    began_s = perf_counter()
    while len(times) < runs or (len(times) < RUNS_MAX and perf_counter() - began_s < SECONDS_PER_BATCH):
        took_s, worked_s = [0.0] * len(ways), [0.0] * len(ways)
        for turn in range(len(ways)):
            way = (turn + len(times)) % len(ways)
            worked_before_s, run_began_s = _cpu_s(pids), perf_counter()
            ways[way](views)
            took_s[way] = perf_counter() - run_began_s
            worked_s[way] = _cpu_s(pids) - worked_before_s
        times.append(took_s)
        cpu.append(worked_s)
    model, aligned, process = (len(views) / median(way) for way in zip(*times, strict=True))
    return BatchSpeed(
        len(views),
        len(times),
        model,
        aligned,
        process,
        median(one[2] / one[1] for one in times) - 1,
        median(one[2] / one[0] for one in times) - 1,
        median(one[2] / one[1] for one in cpu) - 1 if min(map(min, cpu)) > 0 else None,
    )


def _cpu_s(pids: Sequence[int]) -> float:
    """CPU time of all threads of processes; 0 where there is no Linux to say it."""
    try:
        tasks = [task for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()]
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
    except OSError:
        return 0.0
