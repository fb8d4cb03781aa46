"""How fast a model is: called directly, aligned, and through the process a node runs it in."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from node.encoders import REFERENCES, load_encoder
from node.encoders.anchor_views import anchor_views
from node.encoders.catalogue import AlignedEncoder, LiftedEncoder, modality_of
from node.encoders.encoder import View
from node.model_process.client import ModelProcess, ModelSettings, OnAnchors, thread_environment

BATCHES: Final = (1, 16, 64, 256)
TURN_S: Final = 0.2
"""Calls of one way follow each other for so long before another way has its turn: one call of a fast model is
over before its memory is back in the caches, which no wave pays for each batch."""
CALLS_MAX: Final = 64

Ask = Callable[[Sequence[View]], Any]


@dataclass(frozen=True, slots=True)
class BatchSpeed:
    """Of one size of batch: medians of views a second, and of what a turn took more than another."""

    batch: int
    turns: int
    calls: int
    """Calls of each way in a turn, timed together."""
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
    modality: str
    threads: int
    batches: tuple[BatchSpeed, ...]

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def bench_model(
    model: str,
    threads: int,
    turns: int,
    *,
    modality: str | None = None,
    batches: Sequence[int] = BATCHES,
    wave: int | None = None,
    as_bytes: bool = False,
    maps: Path | None = None,
    on_anchors: OnAnchors = lambda _, __: None,
    on_batch: Callable[[], None] = lambda: None,
) -> ModelBench:
    """Time a model on anchors of its modality, one thread unless told. Raises EncoderError.

    `modality` as in `load_encoder`.

    With a `wave` the process is asked for so many views in one call, which it cuts up itself, and the model
    called directly for the same in batches: what a node adds to a wave.

    A way ends when the rows can be read, of the process in memory that both share. With `as_bytes` it ends,
    with and without the process, when they have been copied to the bytes that a node sends.

    The three ways take turns, in another order each time: what else the machine does falls on all of them.
    With a folder for `maps` the model's is taken from there, or kept there. Sets the environment's numbers of
    threads, for this process too.
    """
    os.environ.update(thread_environment(threads))
    modality = modality_of(model, modality)
    views, reference = anchor_views(modality)[: wave or max(batches)], REFERENCES[modality]
    with ExitStack() as stack:
        # The environment is read when a library is loaded, and some are in this process by now.
        stack.enter_context(threadpool_limits(threads))
        # One folder for both sides: the map is fitted once.
        maps = maps or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        encoder = load_encoder(
            model, reference, modality=modality, cache_dir=maps, threads=threads, on_anchors=on_anchors
        )
        # One that has learnt the shared space has no space of its own.
        alone = (
            encoder.native.embed if isinstance(encoder, LiftedEncoder | AlignedEncoder) else encoder.encode
        )
        settings = ModelSettings(model, reference, maps, threads, answer_within_s=600.0, modality=modality)
        process = stack.enter_context(ModelProcess(settings))
        process.start()
        pids = (os.getpid(), process.pid)
        answering = (encoder.encode, process.lend)
        ways: tuple[Ask, ...] = (alone, *(map(_copied, answering) if as_bytes else answering))
        # Its batches grow to their full size, as they have in a node that runs.
        for _ in range(4):
            process.encode(views)
        speeds = []
        for size in batches:
            in_turn = ways if wave is None else (*(_in_batches(way, size) for way in ways[:2]), ways[2])
            speeds.append(_timed(in_turn, views[: wave or size], size, turns, pids))
            on_batch()
    return ModelBench(model, modality, threads, tuple(speeds))


def _copied(way: Callable[[Sequence[View]], NDArray[np.float32]]) -> Ask:
    return lambda views: way(views).tobytes()


def _in_batches(way: Ask, size: int) -> Ask:
    def ask(views: Sequence[View]) -> None:
        for start in range(0, len(views), size):
            way(views[start : start + size])

    return ask


def _timed(
    ways: Sequence[Ask], views: Sequence[View], batch: int, turns: int, pids: Sequence[int]
) -> BatchSpeed:
    times: list[list[float]] = []
    cpu: list[list[float]] = []
    drawn = Random(0)
    ways[0](views)
    began_s = perf_counter()
    ways[0](views)
    calls = max(1, min(CALLS_MAX, int(TURN_S / (perf_counter() - began_s))))
    for _ in range(turns):
        took_s, worked_s = [0.0] * len(ways), [0.0] * len(ways)
        # Not in rotation: a scheduler favours whoever has waited, and each would always follow the same one.
        for way in drawn.sample(range(len(ways)), len(ways)):
            ways[way](views)  # brings its memory back into the caches, as the batch before does in a wave
            worked_before_s, turn_began_s = _cpu_s(pids), perf_counter()
            for _ in range(calls):
                ways[way](views)
            took_s[way] = (perf_counter() - turn_began_s) / calls
            worked_s[way] = (_cpu_s(pids) - worked_before_s) / calls
        times.append(took_s)
        cpu.append(worked_s)
    model, aligned, process = (len(views) / median(way) for way in zip(*times, strict=True))
    return BatchSpeed(
        batch,
        turns,
        calls,
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
