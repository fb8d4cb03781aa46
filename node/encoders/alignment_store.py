"""Fitted maps on disk, so that an encoder that restarts does not fit again."""

from __future__ import annotations

import os
import re
import tempfile
import zipfile
from pathlib import Path
from typing import Final

import numpy as np
from blake3 import blake3

from node.encoders.alignment import AffineMap
from node.encoders.encoder import DIMENSIONS, EncoderError

FOLDER_NAME: Final = "alignment"
"""Where a node keeps its maps, in its data directory."""
_DAMAGE: Final = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
)
"""What reading a missing or damaged file raises; the last three come from damaged zip headers."""


def stored_map(folder: Path, name: str, key: str, dimensions: int) -> AffineMap | None:
    """The map stored under a key; None if there is none or a damaged one: it is then fitted again."""
    try:
        # Opened here: np.load leaves its file open when what it holds is damaged.
        with _path(folder, name, key).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = AffineMap(arrays["source_mean"], arrays["matrix"], arrays["target_mean"])
    except _DAMAGE:
        return None
    shapes = (found.source_mean.shape, found.matrix.shape, found.target_mean.shape)
    if shapes != ((dimensions,), (dimensions, DIMENSIONS), (DIMENSIONS,)):
        return None
    arrays_found = (found.source_mean, found.matrix, found.target_mean)
    sound = all(array.dtype == np.float32 and np.isfinite(array).all() for array in arrays_found)
    return found if sound else None


def store_map(folder: Path, name: str, key: str, fitted: AffineMap) -> Path:
    """Store a map under a key, atomically; the same encoder's maps under other keys go, so one file remains.

    Returns that file. Raises EncoderError if the folder cannot be written.
    """
    path = _path(folder, name, key)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(dir=folder, prefix=".alignment-", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(
                    file,
                    source_mean=fitted.source_mean,
                    matrix=fitted.matrix,
                    target_mean=fitted.target_mean,
                )
            os.replace(scratch, path)
        finally:
            Path(scratch).unlink(missing_ok=True)
        for stale in folder.glob(f"alignment-{_slug(name)}-{'?' * len(key)}.npz"):
            if stale != path:
                stale.unlink(missing_ok=True)
    except OSError as error:
        raise EncoderError(
            f"The alignment of {name} cannot be stored in {folder} ({error.strerror}): "
            "check the folder's permissions and the free space."
        ) from error
    return path


def _path(folder: Path, name: str, key: str) -> Path:
    return folder / f"alignment-{_slug(name)}-{key}.npz"


def _slug(name: str) -> str:
    """The name of a model as part of a file's: models of one's own are called by paths and addresses."""
    plain = re.sub(r"[^A-Za-z0-9-]+", "-", name)
    return plain if plain == name else f"{plain[-40:]}-{blake3(name.encode()).hexdigest()[:8]}"
