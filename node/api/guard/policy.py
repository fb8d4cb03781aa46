"""Who may use the API: the setting `api_access`, and when a node refuses to serve by it."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from config.addresses import is_loopback_host
from config.errors import ConfigError
from config.settings import Settings
from node.api.guard.tokens import FILE_NAME, read_tokens


class Access(Enum):
    """What needs no token."""

    OPEN = "open"
    """Nothing does."""
    READ = "read"
    """To submit needs one."""
    TOKEN = "token"
    """All but /healthz and the page's own files needs one."""


def access_of(settings: Settings) -> Access:
    """The access the settings come to: `auto` is open on loopback and needs tokens elsewhere."""
    if settings.api_access == "auto":
        return Access.OPEN if is_loopback_host(settings.api) else Access.TOKEN
    return Access(settings.api_access)


def check_reachable(settings: Settings, root: Path) -> None:
    """Refuse to serve others by tokens where there is none. Raises ConfigError; `root`: data directory."""
    if settings.api == "off" or is_loopback_host(settings.api) or access_of(settings) is not Access.TOKEN:
        return
    if not read_tokens(root / FILE_NAME):
        raise ConfigError(
            f"the HTTP API on {settings.api} asks everybody for a token, and there is none: make one with "
            "`deltamesh token new NAME`, or serve this machine alone with --api 127.0.0.1:7780"
        )
