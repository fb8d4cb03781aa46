"""Why a key is not backed up or put back."""

from __future__ import annotations

from config.errors import ConfigError


class BackupError(ConfigError):
    """A backup that cannot be made, read or opened."""


class RestoreRefused(BackupError):  # noqa: N818 (says what it is)
    """There is something in the data directory that a backup never replaces."""
