"""Where labelled data comes from: a sample of each modality that needs no network, or a user's files."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from node.evaluation.data import LabelledData
from node.evaluation.errors import EvaluationError
from node.evaluation.own_files import load_folders, load_rows, load_text_folders
from node.evaluation.samples import SAMPLES

SAMPLE: Final = "sample"


def labelled_data(modality: str, source: str = SAMPLE) -> LabelledData:
    """The sample of a modality, or what a file or folder holds. Raises EvaluationError."""
    if modality not in SAMPLES:
        raise EvaluationError(f"there is no modality `{modality[:40]}`: use one of {', '.join(SAMPLES)}")
    if source == SAMPLE:
        return SAMPLES[modality]()
    path = Path(source)
    if not path.exists():
        raise EvaluationError(f"{path} does not exist: check the path, or say `{SAMPLE}`")
    if modality == "text":
        return load_text_folders(path) if path.is_dir() else load_rows(path)
    if not path.is_dir():
        raise EvaluationError(f"{path} is a file: of modality {modality} give a folder with a folder a class")
    return load_folders(path, modality)
