"""Writing the settings file of a new node."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from config.errors import ConfigError, nearest_hint, os_error_sentence
from config.files import PRIVATE, create_file
from config.settings import KEYS_OUTSIDE_FILE, Settings

Value = str | int | tuple[str, ...]

_HEAD = "# Settings of this node. A flag or an environment variable DELTAMESH_* takes precedence.\n"


def create_config(path: Path, values: Mapping[str, Value]) -> None:
    """Write a new settings file with these values. Raises ConfigError; never overwrites a file."""
    known = Settings.model_fields.keys() - KEYS_OUTSIDE_FILE
    for key in values:
        if key not in known:
            raise ConfigError(f"'{key}' is no setting that the file can hold{nearest_hint(key, known)}")
    try:
        create_file(path, config_text(values).encode(), mode=PRIVATE)
    except FileExistsError:
        raise ConfigError(f"{path} is there already: edit it, or move it away first") from None
    except OSError as error:
        raise ConfigError(os_error_sentence("write", path, error)) from None


def config_text(values: Mapping[str, Value]) -> str:
    """The values as TOML, one line each."""
    return _HEAD + "".join(f"{key} = {toml(value)}\n" for key, value in values.items())


def toml(value: Value | Sequence[str]) -> str:
    """One value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's escapes are TOML's too, if they are not of half a character; the one character JSON leaves
        # bare and TOML forbids is DEL.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Sequence):
        return "[" + ", ".join(toml(part) for part in value) + "]"
    return str(value)
