"""Maps of models that take long to fit, fitted once before a local network starts."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from node.encoders import load_encoder


def hand_out_map(model: str, reference: str, modality: str, folders: Sequence[Path]) -> None:
    """Fill new folders, one or more, with the map of a model, if it needs one: its nodes fit none.

    Raises EncoderError.
    """
    first, *others = folders
    # In a process of its own: the model's libraries would stay in this one's memory.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as worker:
        worker.submit(_fit, model, reference, modality, first).result()
    # A model made in the shared space needs no map.
    for folder in others if first.exists() else ():
        shutil.copytree(first, folder)


def _fit(model: str, reference: str, modality: str, folder: Path) -> None:
    load_encoder(model, reference, modality=modality, cache_dir=folder)
