"""Maps that `deltamesh encoder align` or a running node has fitted: kept beside those everybody fits."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from blake3 import blake3

from node.encoders.alignment import LIFT_DOMAIN, AffineMap, Alignment
from node.encoders.alignment_store import store_map, stored_map
from node.encoders.encoder import DIMENSIONS, EncoderError, NativeEncoder
from node.encoders.refit import Way

_SETTINGS_BYTES_MAX: Final = 4_096


class Target(StrEnum):
    """What a model is aligned to."""

    REFERENCE = "reference"
    """The reference encoder's vectors on anchors: the same everywhere, and known before the first round."""
    CONSENSUS = "consensus"
    """The vectors a network has certified."""


@dataclass(frozen=True, slots=True)
class OwnAlignment:
    """A map, and how to fit the next one."""

    map: AffineMap
    way: Way


def own_alignment(
    folder: Path, target: Target, native: NativeEncoder, reference: NativeEncoder
) -> OwnAlignment | None:
    """The map to go by: one to the consensus where that is the target, else one to the reference, else None.

    One that was fitted with other weights, or to another reference, is none.
    """
    wanted = (target, Target.REFERENCE) if target is Target.CONSENSUS else (target,)
    found = (_stored(folder, one, native, reference) for one in wanted)
    return next((one for one in found if one is not None), None)


def _stored(
    folder: Path, target: Target, native: NativeEncoder, reference: NativeEncoder
) -> OwnAlignment | None:
    name, key = _name(native, target), _key(native, reference)
    found = stored_map(folder, name, key, native.dimensions)
    way = _way(_settings_path(folder, name))
    return None if found is None or way is None else OwnAlignment(found, way)


def store_own_alignment(
    folder: Path, target: Target, native: NativeEncoder, reference: NativeEncoder, own: OwnAlignment
) -> Path:
    """Keep a map for the model in place of the one before; its file. Raises EncoderError."""
    name, key = _name(native, target), _key(native, reference)
    path = store_map(folder, name, key, own.map)
    settings = {"method": own.way.how.value, "strength": own.way.ridge_strength}
    try:
        handle, scratch = tempfile.mkstemp(dir=folder, prefix=".alignment-", suffix=".part")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(settings, file)
            os.replace(scratch, _settings_path(folder, name))
        finally:
            Path(scratch).unlink(missing_ok=True)
    except OSError as error:
        raise EncoderError(
            f"The alignment of {native.name} cannot be stored in {folder} ({error.strerror}): "
            "check the folder's permissions and the free space."
        ) from error
    return path


def _way(path: Path) -> Way | None:
    try:
        with path.open(encoding="utf-8") as file:
            settings = json.loads(file.read(_SETTINGS_BYTES_MAX))
        return Way(Alignment(settings["method"]), float(settings["strength"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _settings_path(folder: Path, name: str) -> Path:
    return folder / f"way-{blake3(name.encode()).hexdigest()[:16]}.json"


def _name(native: NativeEncoder, target: Target) -> str:
    return f"{native.name} to {target.value}"


def _key(native: NativeEncoder, reference: NativeEncoder) -> str:
    settings = repr((LIFT_DOMAIN, DIMENSIONS, native.name, native.dimensions, reference.name))
    return blake3(settings.encode() + native.fingerprint() + reference.fingerprint()).hexdigest()[:32]
