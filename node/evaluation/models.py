"""Who is compared: models in the shared space or in their own, and baselines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

import numpy as np
from blake3 import blake3

from node.encoders import load_encoder
from node.encoders.catalogue import load_native
from node.encoders.encoder import VIEWS_AT_ONCE, View, views_at_once
from node.encoders.own_alignment import Target
from node.evaluation.baselines import Embed, baselines_of
from node.evaluation.data import LabelledData

_PROBES_MAX: Final = 8
_STEPS_PER_UNIT: Final = 100


class Space(Enum):
    """Where a model's vectors lie when they are measured."""

    ALIGNED = "aligned"
    """In the network's shared space, as a node would send them."""
    NATIVE = "native"
    """In the model's own."""
    BASELINE = "baseline"


@dataclass(frozen=True, slots=True)
class Opening:
    """How models are opened, the same for all of a table."""

    modality: str
    space: Space = Space.ALIGNED
    reference: str | None = None
    """Whose space to align to; None is the usual one of the modality."""
    maps: Path | None = None
    """Where fitted maps are kept."""
    target: Target = Target.REFERENCE
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Contestant:
    """One row of the table, its model loaded."""

    name: str
    space: Space
    embed: Embed
    views_at_once: int = VIEWS_AT_ONCE
    """Most views in one call."""

    def key(self, views: Sequence[View]) -> str:
        """Names the model by what it answers to a few views: nothing else says that it is the same."""
        rows = np.nan_to_num(self.embed(views[:_PROBES_MAX]))
        answers = np.rint(rows * _STEPS_PER_UNIT).astype("<i4").tobytes()
        return blake3(repr((self.name, self.space.value, rows.shape)).encode() + answers).hexdigest()[:32]


def open_model(name: str, how: Opening, on_anchors: Callable[[int, int], None] | None = None) -> Contestant:
    """A model as `run encoder --model` names it, loaded; aligned unless its own space is asked for.

    Raises EncoderError.
    """
    if how.space is Space.NATIVE:
        native = load_native(name, how.threads, modality=how.modality)
        return Contestant(name, how.space, native.embed, views_at_once(native))
    encoder = load_encoder(
        name,
        how.reference,
        modality=how.modality,
        cache_dir=how.maps,
        threads=how.threads,
        target=how.target,
        on_anchors=on_anchors or _unseen,
    )
    return Contestant(name, how.space, encoder.encode, views_at_once(encoder))


def baselines(data: LabelledData) -> list[Contestant]:
    """What every table ends with."""
    found = baselines_of(data.modality, data.views)
    return [Contestant(name, Space.BASELINE, embed) for name, embed in found.items()]


def _unseen(_: int, __: int) -> None:
    """Nobody watches."""
