"""The scoring process: `python -m node.scoring_worker`, spoken to over its standard input and output."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import BinaryIO

import msgspec

from node.memory import give_back_free_memory
from node.pipe_frames import own_pipes, read_frame, write_frame
from node.scoring_worker.launch import COMPILE_ONLY
from node.scoring_worker.wire import Request, Response, Setup
from node.store.blobs import DiskBlobs
from node.store.database import Access


def main() -> None:
    """Answer requests until the node closes the pipe; with `--compile`, only compile what scoring needs."""
    if sys.argv[1:] == [COMPILE_ONLY]:
        from scoring import warm_up

        warm_up()
        return
    source, sink = own_pipes()
    give_back_free_memory()
    first = read_frame(source)
    if first is None:
        return
    setup = msgspec.msgpack.decode(first, type=Setup)
    os.environ.setdefault("OMP_NUM_THREADS", str(setup.threads))
    import torch

    torch.set_num_threads(setup.threads)
    device = setup.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    from scoring import warm_up

    warm_up(device)
    _write(sink, Response())  # imported, compiled and ready
    while (frame := read_frame(source)) is not None:
        _write(sink, _answer(msgspec.msgpack.decode(frame, type=Request), setup, device))


def _answer(request: Request, setup: Setup, device: str) -> Response:
    from node.scoring_task import compare_task, score_task

    answers = DiskBlobs(Path(setup.blobs_dir), 0, Access.READ_ONLY).get
    limit = setup.slab_bytes_max
    try:
        if request.claimed is None:
            scores = score_task(request.task, answers, device=device, slab_bytes_max=limit)
            return Response(scores=scores)
        claimed = request.claimed
        found = compare_task(request.task, answers, claimed, device=device, slab_bytes_max=limit)
        return Response(deviations=found)
    except Exception as error:  # the node must hear of it, whatever it is, and go on
        return Response(error=f"{type(error).__name__}: {error}"[:2000])


def _write(sink: BinaryIO, response: Response) -> None:
    write_frame(sink, msgspec.msgpack.encode(response))


if __name__ == "__main__":
    main()
