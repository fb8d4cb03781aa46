"""How models are timed: a wave is asked for in one call of the node, and in batches of the model."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.encoders.encoder import EncoderError
from node.models_bench import bench_model

BATCH = 64
ALIGNED_AT_ONCE = 256
WAVE = 320
NOT_MORE = f"""
import numpy as np

def encode(views):
    if len(views) > {ALIGNED_AT_ONCE}:
        raise ValueError(f"{{len(views)}} views at once")
    return np.random.default_rng(len(views)).normal(size=(len(views), 32)).astype(np.float32)
"""


@pytest.mark.slow
def test_bench__of_a_wave_calls_the_model_in_batches(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(NOT_MORE)
    (speed,) = bench_model(f"{file}:encode", 1, 1, batches=(BATCH,), wave=WAVE).batches
    assert (speed.batch, speed.turns) == (BATCH, 1)
    assert min(speed.model, speed.aligned, speed.process) > 0
    (copied,) = bench_model(f"{file}:encode", 1, 1, batches=(BATCH,), as_bytes=True).batches
    assert min(copied.aligned, copied.process) > 0
    with pytest.raises(EncoderError, match="320 views at once"):
        bench_model(f"{file}:encode", 1, 1, batches=(WAVE,))
