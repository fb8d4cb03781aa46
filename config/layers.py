"""The places a setting can come from, each read into values and their origins."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from config.errors import ConfigError, nearest_hint, os_error_sentence

ENVIRONMENT_PREFIX = "DELTAMESH_"
FILE_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Layer:
    """Values of one place, and where in it each was found."""

    values: Mapping[str, object]
    origins: Mapping[str, str]


def flag_layer(flags: Mapping[str, object], known: Collection[str]) -> Layer:
    """Values given on the command line; None stands for a flag that was not given."""
    values = {key: value for key, value in flags.items() if value is not None}
    origins = {key: f"flag --{key.replace('_', '-')}" for key in values}
    for key in values:
        if key not in known:
            raise ConfigError(f"{origins[key]} is no setting{nearest_hint(key, known)}")
    return Layer(values, origins)


def environment_layer(environment: Mapping[str, str], known: Collection[str]) -> tuple[Layer, list[str]]:
    """Values of DELTAMESH_* variables, and a sentence for each that is none; an empty one is not set."""
    faults: list[str] = []
    values: dict[str, object] = {}
    origins: dict[str, str] = {}
    names = {ENVIRONMENT_PREFIX + key.upper(): key for key in known}
    for name, value in environment.items():
        if not name.startswith(ENVIRONMENT_PREFIX) or not value:
            continue
        key = names.get(name)
        if key is None:
            faults.append(f"environment variable {name} is no setting{nearest_hint(name, names)}")
            continue
        values[key] = value
        origins[key] = f"environment {name}"
    return Layer(values, origins), faults


def file_layer(path: Path, known: Collection[str], *, elsewhere: AbstractSet[str]) -> tuple[Layer, list[str]]:
    """Values of a TOML file, none when it does not exist; and a sentence for each key it may not hold.

    `elsewhere`: settings the file cannot hold. Raises ConfigError for a file that is not TOML at all.
    """
    text = _read(path)
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not TOML: {error}; correct it or move it away") from None
    origins = {key: f"{path} line {_line(text, key)}" for key in values}
    faults = []
    for key in values:
        if key in elsewhere:
            faults.append(
                f"{origins[key]}: '{key}' decides where this file lies, so it cannot be set in it; "
                f"use --{key} or {ENVIRONMENT_PREFIX}{key.upper()}"
            )
        elif key not in known:
            hint = nearest_hint(key, set(known) - elsewhere)
            faults.append(f"{origins[key]}: '{key}' is no setting{hint}")
    taken = {key: value for key, value in values.items() if key in known and key not in elsewhere}
    return Layer(taken, {key: origins[key] for key in taken}), faults


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ConfigError(os_error_sentence("read", path, error)) from None
    if len(data) > FILE_BYTES_MAX:
        raise ConfigError(
            f"{path} is over {FILE_BYTES_MAX} bytes, which no settings file needs; move it away"
        )
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text; save it as UTF-8 or move it away") from None


def _line(text: str, key: str) -> int:
    """Line of a top-level key or table, 1 when it is written in a way that is not worth finding."""
    written = re.compile(rf"""\s*\[*\s*["']?{re.escape(key)}["']?\s*[=.\]]""")
    for number, line in enumerate(text.splitlines(), start=1):
        if written.match(line):
            return number
    return 1
