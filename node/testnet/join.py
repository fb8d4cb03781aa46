"""`testnet join`: run an encoder of a prepared network, in the first home that nobody runs in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from config.config_file import create_config
from config.datadir import DataDir, DataDirLocked
from config.errors import ConfigError, os_error_sentence
from config.files import PRIVATE, replace_file
from config.genesis import load_genesis, save_genesis
from node.encoders.cheaters import CHEATER_NAMES
from node.membership import ensure_key
from node.testnet.plan import NETWORK, models_of
from node.testnet.prepare import CHEAT_FILE, CHEATERS_FOLDER, ENCODERS_FOLDER
from protocol.genesis import Genesis

HOMES_MAX: Final = 256
"""Encoders that one folder has homes for."""
_CHEAT_BYTES_MAX: Final = 64


def join_testnet(
    root: Path, *, cheats: bool, note: Path | None, run: Callable[[Path, str | None], None]
) -> None:
    """Call `run` with a home and a cheat, until one of the homes is not taken; returns when that node stops.

    `run` locks the data directory of the home and raises DataDirLocked when another node did first: so two
    that start at once never share one. Past the prepared homes new ones are made, whose encoders register by
    proof of work. `note`: a file that is to name the home. Raises ConfigError.
    """
    genesis = load_genesis(root / "genesis.json")
    folder, name = (CHEATERS_FOLDER, "cheater") if cheats else (ENCODERS_FOLDER, "encoder")
    for number in range(1, HOMES_MAX + 1):
        home = root / folder / f"{name}-{number}"
        if not _is_free(home, genesis, number, cheats=cheats):
            continue
        _write_note(note, home)
        try:
            run(home, _cheat_of(home) if cheats else None)
        except DataDirLocked:
            continue
        return
    raise ConfigError(f"all {HOMES_MAX} homes in {root / folder} are in use: stop some of the encoders there")


def _is_free(home: Path, genesis: Genesis, number: int, *, cheats: bool) -> bool:
    """Whether no node runs there; what is missing in the home is made."""
    directory = DataDir.open(home, NETWORK)
    try:
        with directory.lock():
            _complete(home, directory, genesis, number, cheats=cheats)
    except DataDirLocked:
        return False
    return True


def _complete(home: Path, directory: DataDir, genesis: Genesis, number: int, *, cheats: bool) -> None:
    ensure_key(directory)
    if not directory.genesis.exists():
        save_genesis(directory.genesis, genesis)
    models = models_of(genesis.modality)
    if not directory.config.exists():
        model = genesis.parameters.reference_encoder if cheats else models[(number - 1) % len(models)]
        create_config(directory.config, {"model": model})
    if cheats and not (home / CHEAT_FILE).exists():
        replace_file(home / CHEAT_FILE, b"zero\n", mode=PRIVATE)


def _cheat_of(home: Path) -> str:
    path = home / CHEAT_FILE
    try:
        with path.open("rb") as file:
            name = file.read(_CHEAT_BYTES_MAX).decode("ascii", errors="replace").strip()
    except OSError as error:
        raise ConfigError(os_error_sentence("read", path, error)) from None
    if name not in CHEATER_NAMES:
        raise ConfigError(f"{path} names no cheater: write one of {', '.join(CHEATER_NAMES)} into it")
    return name


def _write_note(note: Path | None, home: Path) -> None:
    if note is None:
        return
    try:
        replace_file(note, f"{home}\n".encode(), mode=PRIVATE)
    except OSError as error:
        raise ConfigError(os_error_sentence("write", note, error)) from None
