"""Labelled data of each modality that needs no network: read from installed packages, or generated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from node.evaluation.data import LabelledData
from node.evaluation.samples.audio import audio_sample
from node.evaluation.samples.images import image_sample
from node.evaluation.samples.raw_bytes import bytes_sample
from node.evaluation.samples.series import series_sample
from node.evaluation.samples.text import text_sample

SAMPLES: Final[Mapping[str, Callable[[], LabelledData]]] = {
    "text": text_sample,
    "image": image_sample,
    "audio": audio_sample,
    "series": series_sample,
    "bytes": bytes_sample,
}
"""By modality. Each raises EvaluationError where what it is read from is not installed."""

__all__ = ["SAMPLES", "audio_sample", "bytes_sample", "image_sample", "series_sample", "text_sample"]
