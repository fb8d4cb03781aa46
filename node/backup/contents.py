"""What is in a backup: everything that makes the node, and how far its key has signed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import msgspec

from config.datadir import DataDir
from config.errors import os_error_sentence
from config.genesis import FILE_BYTES_MAX as GENESIS_FILE_BYTES_MAX
from config.genesis import load_genesis
from node.backup.errors import BackupError
from node.chain_file import load_chain_seed
from node.keys import load_key
from node.member_card import CARD_BYTES_MAX
from node.membership import chain_path, pool_path
from node.pool import POOL_BYTES_MAX, Pool
from node.private_file import read_private
from node.signer.watermark import Mark, WatermarkFile, signer_owner, watermark_path
from protocol.codec import Digest, Natural, Record
from protocol.genesis import Genesis
from protocol.signatures import SEED_BYTES

CONFIG_BYTES_MAX: Final = 1 << 20
NO_NETWORK: Final = bytes(32)

_Seed = Annotated[bytes, msgspec.Meta(min_length=SEED_BYTES, max_length=SEED_BYTES)]
_ChainSeed = Annotated[bytes, msgspec.Meta(max_length=32)]


class SignedUpTo(Record, frozen=True):
    """The signer's watermark when the backup was made."""

    votes: Natural
    chain: Digest
    rounds: Natural
    """Rounds 0 .. rounds - 1 are closed to new votes."""


class Contents(Record, frozen=True):
    """A node, as bytes. Empty where it has no such file."""

    key_seed: _Seed
    chain_seed: _ChainSeed
    pool: Annotated[bytes, msgspec.Meta(max_length=POOL_BYTES_MAX)]
    genesis: Annotated[bytes, msgspec.Meta(max_length=GENESIS_FILE_BYTES_MAX)]
    config: Annotated[bytes, msgspec.Meta(max_length=CONFIG_BYTES_MAX)]
    card: Annotated[bytes, msgspec.Meta(max_length=CARD_BYTES_MAX)]
    network: Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
    """What its data directory was called."""
    signed: Annotated[tuple[SignedUpTo, ...], msgspec.Meta(max_length=1)]
    """None where no signer was ever opened for this network."""


def collect(directory: DataDir) -> tuple[Contents, Genesis | None]:
    """What a backup of this node holds, and its network. Safe beside the running node.

    Raises ConfigError when a secret is missing, damaged or open to other users, SignerError when it cannot be
    told what the key has signed.
    """
    key = load_key(directory.key)
    genesis = load_genesis(directory.genesis) if directory.genesis.exists() else None
    pool, chain = pool_path(directory), chain_path(directory)
    if pool.exists():
        Pool.load(pool)  # a backup of a damaged pool would be no backup
    contents = Contents(
        key_seed=key.seed,
        chain_seed=load_chain_seed(chain) if chain.exists() else b"",
        pool=read_private(pool, "the pool", size_bytes_max=POOL_BYTES_MAX, when_missing="")
        if pool.exists()
        else b"",
        genesis=_read(directory.genesis, GENESIS_FILE_BYTES_MAX),
        config=_read(directory.config, CONFIG_BYTES_MAX),
        card=_read(directory.card, CARD_BYTES_MAX),
        network=directory.root.name,
        signed=() if genesis is None else _signed(directory, key.public_key, genesis.network_id),
    )
    return contents, genesis


def _signed(directory: DataDir, public_key: bytes, network_id: bytes) -> tuple[SignedUpTo, ...]:
    path = watermark_path(directory.signer)
    mark: Mark | None = WatermarkFile(path, signer_owner(public_key, network_id)).read()
    if mark is not None:
        return (SignedUpTo(mark.votes, mark.chain, mark.closed_round + 1),)
    if directory.signer.exists():
        raise BackupError(
            f"{directory.signer} has lost its watermark, so nobody can tell what the key has signed: "
            "start the node once, which mends it, then make the backup"
        )
    return ()


def _read(path: Path, size_bytes_max: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(size_bytes_max + 1)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise BackupError(os_error_sentence("read", path, error)) from None
    if len(data) > size_bytes_max:
        raise BackupError(f"{path} is over {size_bytes_max} bytes, which no node needs: check it")
    return data
