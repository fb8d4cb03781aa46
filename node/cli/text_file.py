"""Small text files a command rewrites: whole or not at all."""

from __future__ import annotations

from pathlib import Path

from config.errors import ConfigError, os_error_sentence
from config.files import PRIVATE, replace_file


def replace_text(path: Path, text: str) -> None:
    """Write the file with mode 0600; an old one stays until the new one is on disk. Raises ConfigError."""
    try:
        replace_file(path, text.encode(), mode=PRIVATE)
    except OSError as error:
        raise ConfigError(os_error_sentence("write", path, error)) from None
