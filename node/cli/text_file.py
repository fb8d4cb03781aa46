"""Small text files a command rewrites: whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from config.errors import ConfigError, os_error_sentence


def replace_text(path: Path, text: str) -> None:
    """Write the file with mode 0600; an old one stays until the new one is on disk. Raises ConfigError."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(os_error_sentence("write", path, error)) from None
