"""The log of a training: a line of CSV for each epoch."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.training.errors import TrainingError
from node.training.folder import write_atomically

NAME: Final = "training.csv"


@dataclass(frozen=True, slots=True)
class EpochLine:
    """What one epoch came to."""

    epoch: int
    loss: float
    """Mean over the batches of the mixture."""
    parts: Mapping[str, float]
    """Each loss before its weight."""
    held_out: float


class TrainingLog:
    """`epoch,loss,<each loss>,<metric>`: no times, so that a training taken up again writes the same file."""

    def __init__(self, folder: Path, losses: Sequence[str], metric: str, keep_epochs: int) -> None:
        """Begin a log, or go on after the first `keep_epochs` of the one that is there."""
        self._path = folder / NAME
        self._losses = tuple(losses)
        header = ["epoch", "loss", *losses, metric]
        kept = self._read()[1 : keep_epochs + 1] if keep_epochs else []
        if len(kept) != keep_epochs:
            raise TrainingError(
                f"{self._path} has {len(kept)} of the {keep_epochs} epochs that the checkpoint knows: "
                "train without --resume"
            )
        self._rows = [header, *kept]
        self._write()

    def add(self, line: EpochLine) -> None:
        """One epoch more."""
        parts = [repr(line.parts[name]) for name in self._losses]
        self._rows.append([str(line.epoch), repr(line.loss), *parts, repr(line.held_out)])
        self._write()

    def _write(self) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(self._rows)
        write_atomically(self._path, text.getvalue().encode())

    def _read(self) -> list[list[str]]:
        try:
            return list(csv.reader(self._path.read_text("utf-8").splitlines()))
        except (OSError, UnicodeDecodeError) as error:
            raise TrainingError(f"{self._path} cannot be read ({error}): train without --resume") from error
