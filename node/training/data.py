"""A user's files as a training set: texts, images by folder of their class, series by recording."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.corpus import load_challenge_pool
from node.modalities import FileError, items_of_file
from node.training.errors import TrainingError
from node.training.models import Architecture, PatchNet, StepNet, TextBag, View
from node.training.samples import SAMPLES
from node.training.training_set import TrainingSet

SAMPLE: Final = "sample"
TEXT_WORDS_MIN: Final = 12
"""Shorter texts are left out: nothing can be learnt from halves of a few words."""
FILES_MAX: Final = 100_000
ITEMS_MAX: Final = 200_000


def load_training_set(modality: str, source: str) -> TrainingSet:
    """The items of a file or a folder, or `sample`. Raises TrainingError, CorpusError, FileError.

    Files are read in sorted order. Those of images and series below folders have the name of the folder they
    lie in as their label, if there is more than one such folder. Windows of one file are one recording.
    """
    if modality not in SAMPLES:
        raise TrainingError(f"models of {modality} cannot be trained: choose {', '.join(SAMPLES)}")
    if source == SAMPLE:
        return SAMPLES[modality]()
    path = Path(source).expanduser()
    if modality == "text":
        return TrainingSet("text", tuple(load_challenge_pool(path, words_min=TEXT_WORDS_MIN)))
    files = _files(path)
    items: list[View] = []
    folders: list[str] = []
    recordings: list[int] = []
    for number, file in enumerate(files):
        try:
            found = items_of_file(modality, file)
        except FileError as error:
            if len(files) == 1:
                raise
            raise FileError(f"{error} (one of {len(files)} files of {path}; take it out to go on)") from error
        items += found
        folders += [file.parent.name] * len(found)
        recordings += [number] * len(found)
        if len(items) > ITEMS_MAX:
            raise TrainingError(f"{path} holds more than {ITEMS_MAX} items: train on a part of it")
    if not items:
        raise TrainingError(f"{path} holds nothing to train on: add files, or point elsewhere")
    return TrainingSet(
        modality,
        tuple(items),
        labels=_numbered(folders),
        recordings=np.array(recordings, np.int64) if modality == "series" else None,
    )


def architecture_for(data: TrainingSet) -> Architecture:
    """The model for these data, in its usual size."""
    if data.modality == "text":
        return TextBag()
    if data.modality == "image":
        return PatchNet()
    first = data.items[0]
    assert isinstance(first, bytes)
    channels = int.from_bytes(first[2:4], "big")
    for item in data.items:
        assert isinstance(item, bytes)
        if int.from_bytes(item[2:4], "big") != channels:
            raise TrainingError("the series have different numbers of channels: train on those of one kind")
    return StepNet(channels=channels)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise TrainingError(f"{path} does not exist: check the path, or train on `sample`")
    found = sorted(
        one
        for one in path.rglob("*")
        if one.is_file() and not any(part.startswith(".") for part in one.relative_to(path).parts)
    )
    if len(found) > FILES_MAX:
        raise TrainingError(f"{path} holds more than {FILES_MAX} files: train on a part of it")
    return found


def _numbered(names: Sequence[str]) -> NDArray[np.int64] | None:
    """Labels as numbers in the order of their names; None where there is only one."""
    known = {name: number for number, name in enumerate(sorted(set(names)))}
    return None if len(known) < 2 else np.array([known[name] for name in names], np.int64)
