"""Putting a backup back: nothing there is replaced, and the key votes only where no earlier vote can be.

The machine of the backup may have gone on signing. It is stopped by the time this node starts (the operator's
part), so all it can have voted in are rounds that had begun by then. Here that becomes a watermark that knows
of more votes than any database there will be: the signer takes it for a database put back from an older copy,
and waits until the round after those is over. `restored_path` marks that a watch for another node with the
key is still owed, whatever the settings say.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from config.datadir import DataDir
from config.errors import os_error_sentence
from config.genesis import genesis_from_text, load_genesis
from node.backup.contents import NO_NETWORK, Contents, SignedUpTo
from node.backup.errors import BackupError, RestoreRefused
from node.backup.restored import restored_path
from node.backup.sealed import FILE_BYTES_MAX, Header, Sealed, open_sealed
from node.keys import NodeKey, write_key
from node.membership import chain_path, pool_path
from node.private_file import touch_private, write_once
from node.signer.watermark import Mark, WatermarkFile, signer_owner, watermark_path
from protocol.codec import CodecError, decode
from protocol.genesis import Genesis
from protocol.gossip_rules import CLOCK_SKEW_MS
from protocol.hashing import digest
from protocol.schedule import round_at


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore has done."""

    key: NodeKey
    genesis: Genesis | None
    closed_round: int
    """No new vote up to it; -1 where there is no network, or it has not begun."""
    config_kept: bool
    """The data directory had a config.toml of its own, which stays."""


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    data: bytes
    what: str


def open_contents(backup: Sealed, passphrase: bytes) -> Contents:
    """What a backup holds, checked against its header. Raises BackupError."""
    data = open_sealed(backup, passphrase)
    try:
        contents = decode(data, Contents, size_bytes_max=FILE_BYTES_MAX)
    except CodecError as error:
        raise BackupError(f"the backup opens, but holds no node ({error}): take another copy of it") from None
    if NodeKey(contents.key_seed).public_key != backup.header.public_key:
        raise BackupError("the backup holds another key than its header says: take another copy of it")
    return contents


def restore(directory: DataDir, header: Header, contents: Contents, now_ms: int) -> Restored:
    """Write a node's files into its locked data directory, the key last.

    After a failure or a crash midway the same restore may be made again. Raises RestoreRefused when another
    file is in the way, ConfigError and SignerError when one cannot be written.
    """
    key = NodeKey(contents.key_seed)
    genesis = _genesis(header, contents)
    files = _files(directory, contents)
    _refuse_what_is_there(directory, genesis, files)
    closed_round = -1
    # The watermark first: from here on nothing can start and sign as if it were new.
    touch_private(restored_path(directory))
    if genesis is not None:
        closed_round = closed_round_of(genesis, contents.signed, max(now_ms, header.made_ms))
        _write_watermark(directory, key, genesis, contents.signed, closed_round)
    for file in files:
        if not file.path.exists():
            write_once(file.path, file.data, file.what)
    config_kept = bool(contents.config) and directory.config.exists()
    if contents.config and not config_kept:
        write_once(directory.config, contents.config, "settings")
    write_key(directory.key, key)
    return Restored(key, genesis, closed_round, config_kept)


def restore_seed(directory: DataDir, seed: bytes) -> NodeKey:
    """Put back a key of which nothing but the seed is left. Raises RestoreRefused, PrivateFileError."""
    key = NodeKey(seed)
    _refuse_what_is_there(directory, None, ())
    touch_private(restored_path(directory))
    write_key(directory.key, key)
    return key


def closed_round_of(genesis: Genesis, signed: tuple[SignedUpTo, ...], now_ms: int) -> int:
    """The last round in which the backed-up key may have voted, if it signs no more from now on."""
    known = max((mark.rounds for mark in signed), default=0) - 1
    # A node accepts what is said of a round that begins within the skew, so it may have answered it.
    return max(known, round_at(genesis, now_ms + CLOCK_SKEW_MS), -1)


def _genesis(header: Header, contents: Contents) -> Genesis | None:
    if not contents.genesis:
        if header.network_id != NO_NETWORK:
            raise BackupError("the backup lacks the genesis of its network: take another copy of it")
        return None
    try:
        text = contents.genesis.decode()
    except UnicodeDecodeError:
        raise BackupError("the genesis in the backup is no text: take another copy of it") from None
    genesis = genesis_from_text(text, "the genesis in the backup")
    if genesis.network_id != header.network_id:
        raise BackupError("the backup holds the genesis of another network than its header says")
    return genesis


def _files(directory: DataDir, contents: Contents) -> tuple[_File, ...]:
    chain = contents.chain_seed.hex().encode() + b"\n" if contents.chain_seed else b""
    found = (
        _File(chain_path(directory), chain, "the seed of a hash chain"),
        _File(pool_path(directory), contents.pool, "a pool of challenge items"),
        _File(directory.card, contents.card, "a member card"),
        _File(directory.genesis, contents.genesis, "the genesis of a network"),
    )
    return tuple(file for file in found if file.data)


def _refuse_what_is_there(directory: DataDir, genesis: Genesis | None, files: tuple[_File, ...]) -> None:
    elsewhere = "restore into another --home or --network, or move that directory away first"
    for path, what in ((directory.key, "a key"), (directory.signer, "what a key has signed")):
        if path.exists() or path.is_symlink():
            raise RestoreRefused(f"{path} holds {what}, which is never overwritten: {elsewhere}")
    if genesis is not None and directory.genesis.exists():
        # Read, not compared: the same network may be written down in another way.
        if load_genesis(directory.genesis).network_id != genesis.network_id:
            raise RestoreRefused(f"{directory.root} belongs to another network than the backup: {elsewhere}")
        files = tuple(file for file in files if file.path != directory.genesis)
    for file in files:
        try:
            same = not file.path.exists() or file.path.read_bytes() == file.data
        except OSError as error:
            raise RestoreRefused(os_error_sentence("read", file.path, error)) from None
        if not same:
            raise RestoreRefused(f"{file.path} holds {file.what}, and not the backup's: {elsewhere}")


def _write_watermark(
    directory: DataDir, key: NodeKey, genesis: Genesis, signed: tuple[SignedUpTo, ...], closed_round: int
) -> None:
    owner = signer_owner(key.public_key, genesis.network_id)
    mark = signed[0] if signed else SignedUpTo(0, owner, 0)
    # One vote more than the backup saw, in a chain no history has: the signer can only find it missing.
    beyond = Mark(mark.votes + 1, digest("signer restored", mark.chain), closed_round)
    WatermarkFile(watermark_path(directory.signer), owner).write(beyond, lambda: None)
