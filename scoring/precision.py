"""Pins the precision of matrix products, whatever the caller or the process has chosen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def pinned_precision(device: torch.device) -> Iterator[None]:
    """Full float32 products and no autocast inside; the process's own settings are restored after.

    TF32 and bfloat16 keep 10 and 7 bits of a product: enough to train a model, not to tell two near vectors
    apart. The matmul settings are process-wide, so score in a process or thread that owns them.
    """
    backends = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # type: ignore[attr-defined]
    before = [backend.fp32_precision for backend in backends]
    for backend in backends:
        backend.fp32_precision = "ieee"
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision
