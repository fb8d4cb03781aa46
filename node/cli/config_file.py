"""Settings that `deltamesh init` leaves in config.toml: added to what is there, never in its place."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from config.config_file import toml
from config.errors import ConfigError, os_error_sentence
from node.cli.text_file import replace_text

_HEADER = "# Settings of this node. Flags and DELTAMESH_* variables come before them.\n"


def add_settings(path: Path, values: Mapping[str, Sequence[str] | str]) -> None:
    """Write settings the file does not have yet. Raises ConfigError when it has another value for one.

    What is written stays as it is, comments too: a person may have edited the file.
    """
    if not values:
        return
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else _HEADER
        present = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(os_error_sentence("read", path, error)) from None
    except ValueError as error:
        raise ConfigError(f"{path} is not TOML: {error}; correct it or move it away") from None
    added = []
    for key, value in values.items():
        wanted = value if isinstance(value, str) else list(value)
        if key not in present:
            added.append(f"{key} = {toml(wanted)}\n")
        elif present[key] != wanted:
            raise ConfigError(
                f"{path} has another value for '{key}' and is never overwritten: edit it there, or "
                "leave the flag out"
            )
    if added:
        # At the top, for a later line may have opened a table.
        head, rest = (_HEADER, text[len(_HEADER) :]) if text.startswith(_HEADER) else ("", text)
        replace_text(path, head + "".join(added) + rest)
