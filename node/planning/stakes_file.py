"""Stakes in a file a person writes: one node a line, `key,stake` or the stake alone."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from config.errors import ConfigError, os_error_sentence
from protocol.planning import NODES_MAX, STAKE_MAX

FILE_BYTES_MAX: Final = 128 << 20
_HEADER: Final = "stake"


class StakesFileError(ConfigError):
    """A file of stakes that cannot be read, or that names no node or one twice."""


def read_stakes(path: Path) -> tuple[int, ...]:
    """The stakes in a file, in its order; zero stakes, which are never drawn, are left out.

    Blank lines, what follows a `#`, and a first line that ends in `stake` are skipped. Raises
    StakesFileError.
    """
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise StakesFileError(os_error_sentence("read", path, error)) from None
    if len(data) > FILE_BYTES_MAX:
        raise StakesFileError(f"{path} is over {FILE_BYTES_MAX} bytes, which no stakes need: check the path")
    stakes, keys = [], set()
    for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
        *key, text = (part.strip() for part in line.partition("#")[0].rsplit(",", 1))
        if not text or (number == 1 and text.lower() == _HEADER):
            continue
        if not (text.isascii() and text.isdigit() and len(text) <= 16) or int(text) > STAKE_MAX:
            raise StakesFileError(
                f"{path} line {number}: '{text[:40]}' is no stake; write a whole number up to {STAKE_MAX}, "
                "alone or after a key and a comma"
            )
        if key and key[0] in keys:
            raise StakesFileError(
                f"{path} line {number}: {key[0][:80]} is there twice; give each node one line"
            )
        keys.update(key)
        if int(text):
            stakes.append(int(text))
        if len(stakes) > NODES_MAX:
            raise StakesFileError(f"{path} has over {NODES_MAX:,} nodes: plan for fewer")
    if not stakes:
        raise StakesFileError(f"{path} names no node with stake: write one `key,stake` a line")
    return tuple(stakes)
