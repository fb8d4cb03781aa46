"""The watermark: a second, smaller record of how far the votes had come when a signature last left.

It lies beside the database and is written after the vote is committed and before its signature leaves. So the
votes it has seen are always in a genuine database, and a database that lacks one of them is an older copy.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.signer.errors import SignerCorrupted
from node.signer.files import check_private, replace_durably, write_durably
from protocol.hashing import digest

_VERSION = 1
_SIZE_BYTES_MAX = 4_096


@dataclass(frozen=True, slots=True)
class Mark:
    """How far the votes have come: their number, their hash chain [32], and the highest closed round.

    A round is closed when this key has voted in it, or when a signer was opened while it ran or after: a
    later process casts no new vote there. -1 before the first.
    """

    votes: int
    chain: bytes
    closed_round: int


def signer_owner(public_key: bytes, network_id: bytes) -> bytes:
    """Whose records these are [32]: one key in one network."""
    return digest("signer owner", public_key, network_id)


def watermark_path(database: Path) -> Path:
    """Where the watermark of a signer's database lies."""
    return database.with_name(database.name + ".watermark")


class WatermarkFile:
    """The watermark of one key in one network."""

    def __init__(self, path: Path, owner: bytes) -> None:
        self._path = path
        self.owner = owner

    def read(self) -> Mark | None:
        """The mark, or None where there is no file. Raises `SignerCorrupted`, `SignerError`."""
        try:
            check_private(self._path)
            with self._path.open("rb") as file:
                text = file.read(_SIZE_BYTES_MAX + 1)
        except FileNotFoundError:
            return None
        try:
            fields = json.loads(text)
            checksum = fields.pop("checksum")
            mark = Mark(int(fields["votes"]), bytes.fromhex(fields["chain"]), int(fields["closed_round"]))
            sound = checksum == _checksum(fields) and fields["version"] == _VERSION
        except (ValueError, TypeError, KeyError, AttributeError):
            sound = False
        if not sound:
            raise SignerCorrupted(
                f"{self._path} is damaged: move it away and start again; "
                "the signer then waits until no earlier vote can be contradicted"
            )
        if fields["owner"] != self.owner.hex():
            raise SignerCorrupted(
                f"{self._path} belongs to another key or network: put back the one that belongs here, "
                "or give this node a data directory of its own"
            )
        return mark

    def write(self, mark: Mark, staged: Callable[[], None]) -> None:
        """Put the mark in its place, durably; `staged` is called between writing and renaming."""
        fields: dict[str, Any] = {
            "version": _VERSION,
            "owner": self.owner.hex(),
            "votes": mark.votes,
            "chain": mark.chain.hex(),
            "closed_round": mark.closed_round,
        }
        draft = self._path.with_name(self._path.name + ".new")
        write_durably(draft, json.dumps({**fields, "checksum": _checksum(fields)}).encode() + b"\n")
        staged()
        replace_durably(draft, self._path)


def _checksum(fields: dict[str, Any]) -> str:
    return digest("signer watermark", json.dumps(fields, sort_keys=True).encode()).hex()
