"""What a client has followed, kept in a small folder, so that it fetches only what is new.

A file begins with the digest of the rest, and is taken for what this program wrote. Its genesis is checked by
the network id, its newest record by the digests, moments by the digest in their name; what does not fit is
left alone and fetched anew.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Annotated, Final

import msgspec
import structlog

from node.client.chain import EPOCHS_MAX, Chain, epoch_from
from protocol.codec import Digest, Record, decode, encode
from protocol.epochs.learnt import MOMENTS_BYTES_MAX
from protocol.epochs.record import RECORD_BYTES_MAX
from protocol.genesis import GENESIS_BYTES_MAX, Genesis
from protocol.hashing import DIGEST_BYTES, content_digest, digest

MOMENTS_KEPT: Final = 2
"""Files of moments, 4.2 MB each: those used last."""
_MAGIC: Final = "deltamesh chain 1"
_FILE_BYTES_MAX: Final = DIGEST_BYTES + GENESIS_BYTES_MAX + 34 * EPOCHS_MAX + 2 * RECORD_BYTES_MAX

log = structlog.get_logger(__name__)


class _Followed(Record, frozen=True):
    magic: str
    genesis: bytes
    digests: Annotated[tuple[Digest, ...], msgspec.Meta(max_length=EPOCHS_MAX + 1)]
    newest: bytes
    """Canonical EpochRecord of the last of them."""


def cache_home() -> Path:
    """The platform's place for what can be fetched again, by the XDG base directory specification."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(given) if given.startswith("/") else Path("~/.cache").expanduser()
    return base / "deltamesh"


class ChainCache:
    """The folder of one network. What cannot be read or written is as if it were not there: it only saves
    time.
    """

    def __init__(self, folder: Path, network_id: bytes) -> None:
        self._network_id = network_id
        self._folder = folder / network_id.hex()[:32]

    def load(self) -> Chain | None:
        """What was followed before."""
        data = _read(self._folder / "chain", _FILE_BYTES_MAX)
        if data is None:
            return None
        try:
            return self._checked(data)
        except ValueError as error:
            log.info("cache.ignored", folder=str(self._folder), reason=str(error))
            return None

    def save(self, chain: Chain) -> None:
        """Keep what is known now, replacing the file whole."""
        digests, newest = chain.digests, chain.newest
        told = _Followed(_MAGIC, chain.genesis.data, digests[: newest.number + 1], encode(newest.record))
        if len(told.digests) == newest.number + 1:
            data = encode(told)
            self._write("chain", content_digest(data) + data)

    def moments(self, name: bytes) -> bytes | None:
        """The moments of that digest, where they are kept."""
        path = self._folder / f"moments-{name.hex()}"
        data = _read(path, MOMENTS_BYTES_MAX)
        if data is None or content_digest(data) != name:
            return None
        try:
            os.utime(path)
        except OSError as error:
            log.debug("cache.not_touched", path=str(path), reason=str(error))
        return data

    def keep_moments(self, name: bytes, data: bytes) -> None:
        """Keep moments; those that were used longest ago go."""
        self._write(f"moments-{name.hex()}", data)
        try:
            held = sorted(self._folder.glob("moments-*"), key=lambda path: path.stat().st_mtime_ns)
            for path in held[:-MOMENTS_KEPT]:
                path.unlink(missing_ok=True)
        except OSError as error:
            log.debug("cache.not_pruned", folder=str(self._folder), reason=str(error))

    def _write(self, name: str, data: bytes) -> None:
        draft = self._folder / f".{name}.{secrets.token_hex(4)}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                draft.write_bytes(data)
                draft.replace(self._folder / name)
            finally:
                draft.unlink(missing_ok=True)
        except OSError as error:
            log.info("cache.not_written", folder=str(self._folder), reason=str(error))

    def _checked(self, data: bytes) -> Chain:
        """Raises ValueError, of which GenesisError, CodecError and RecordError are kinds."""
        if content_digest(data[DIGEST_BYTES:]) != data[:DIGEST_BYTES]:
            raise ValueError("its digest is another")
        told = decode(data[DIGEST_BYTES:], _Followed, size_bytes_max=_FILE_BYTES_MAX)
        if told.magic != _MAGIC or digest("genesis", told.genesis) != self._network_id:
            raise ValueError("it is of another network or release")
        chain = Chain(Genesis.from_bytes(told.genesis))
        if len(told.digests) > 1:
            chain.resume(told.digests, epoch_from(chain.genesis, told.newest))
        return chain


def _read(path: Path, bytes_max: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            data = file.read(bytes_max + 1)
    except OSError:
        return None
    return data if len(data) <= bytes_max else None
