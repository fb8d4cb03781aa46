"""Becoming a member: what a node prepares, the card it hands over, and the genesis made of the cards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from config.addresses import checked_dial_address
from config.datadir import DataDir
from config.errors import ConfigError
from node.chain_file import CHAIN_FILE_NAME, create_chain_seed, load_chain_seed
from node.keys import NodeKey, create_key, load_key, peer_id
from node.pool import POOL_FILE_NAME, Pool
from node.private_file import PrivateFileError, PrivateFileExists
from protocol.chain import LENGTH_MAX, chain_tip
from protocol.genesis import (
    EncoderMember,
    Genesis,
    GenesisContent,
    GenesisError,
    NetworkParameters,
    ValidatorMember,
)
from protocol.modalities import TEXT, Modality
from protocol.signatures import is_valid_public_key


class MembershipError(ConfigError):
    """A node cannot become the member it was asked to be, or cards do not make a network."""


def pool_path(directory: DataDir) -> Path:
    """Where a validator keeps its pool of challenge items."""
    return directory.root / POOL_FILE_NAME


def chain_path(directory: DataDir) -> Path:
    """Where a validator keeps the seed of its hash chain."""
    return directory.root / CHAIN_FILE_NAME


def is_prepared_validator(directory: DataDir) -> bool:
    """Whether this directory was prepared as a validator's."""
    return chain_path(directory).exists() or pool_path(directory).exists()


def ensure_key(directory: DataDir) -> NodeKey:
    """The node's key, created where there is none. Raises PrivateFileError."""
    try:
        return load_key(directory.key)
    except PrivateFileError:
        if directory.key.exists() or directory.key.is_symlink():
            raise
    return create_key(directory.key)


def prepare_validator(
    directory: DataDir,
    items: Sequence[bytes] | Callable[[], Sequence[bytes]],
    *,
    stake: int,
    addresses: Sequence[str],
    chain_length: int,
    modality: Modality = TEXT,
) -> ValidatorMember:
    """Key, pool and chain of a validator, created where missing and otherwise kept, as its genesis entry.

    `items` are canonical in the modality; a function is called only when there is no pool yet. Raises
    ConfigError.
    """
    if not 1 <= chain_length <= LENGTH_MAX:
        raise MembershipError(f"a hash chain has 1 to {LENGTH_MAX} steps, not {chain_length}")
    _check_stake(stake)
    key = ensure_key(directory)
    pool = _ensure_pool(pool_path(directory), items, modality)
    if pool.modality is not modality:
        raise MembershipError(
            f"the pool of {directory.root} holds items of modality {pool.modality.name}, not "
            f"{modality.name}: prepare a validator of another modality in another --home"
        )
    seed = _ensure_chain(chain_path(directory))
    return ValidatorMember(
        public_key=key.public_key,
        stake=stake,
        addresses=tuple(address_of_member(address, key.public_key) for address in addresses),
        pool_root=pool.root,
        pool_size=pool.size,
        chain_tip=chain_tip(seed, chain_length),
    )


def prepare_encoder(directory: DataDir, *, stake: int) -> EncoderMember:
    """The key of an encoder, created where missing, as its genesis entry. Raises ConfigError."""
    _check_stake(stake)
    if is_prepared_validator(directory):
        raise MembershipError(
            f"{directory.root} was prepared as a validator's: give the encoder a key "
            "of its own, with another --home"
        )
    return EncoderMember(ensure_key(directory).public_key, stake)


def address_of_member(address: str, public_key: bytes) -> str:
    """An address of a member with its peer id, without which nobody dials it. Raises MembershipError."""
    try:
        checked_dial_address(address)
    except ValueError as error:
        raise MembershipError(f"address of the member: {error}") from None
    bare, _, named = address.partition("/p2p/")
    own = peer_id(public_key)
    if named not in ("", own):
        raise MembershipError(f"{address} names another node: this one is {own}; leave /p2p/... out")
    return f"{bare}/p2p/{own}"


def assemble_genesis(
    name: str,
    parameters: NetworkParameters,
    validators: Sequence[ValidatorMember],
    encoders: Sequence[EncoderMember],
    genesis_time_ms: int,
    nonce: bytes,
    bonds: Sequence[EncoderMember] = (),
) -> Genesis:
    """The genesis of these members, the same whatever order they come in. Raises MembershipError.

    `bonds` is stake set aside for encoders that may register later.
    """
    if not validators or not encoders:
        raise MembershipError(
            f"a network needs at least one validator and one encoder, here are {len(validators)} and "
            f"{len(encoders)}: ask its members for cards (`deltamesh init --role validator|encoder`)"
        )
    for key in [*(m.public_key for m in validators), *(m.public_key for m in encoders)]:
        if not is_valid_public_key(key):
            raise MembershipError(f"{key.hex()} is no Ed25519 public key: ask its owner for the card again")
    for validator in validators:
        if validator.pool_size < parameters.scored_items:
            raise MembershipError(
                f"validator {validator.public_key[:4].hex()} has {validator.pool_size} challenge items, and "
                f"a batch scores {parameters.scored_items}: prepare it with more --data"
            )
    if len(encoders) < parameters.encoders_min:
        raise MembershipError(
            f"a round needs {parameters.encoders_min} encoders, and there are cards of {len(encoders)}: "
            "every round would be void; add cards or take another --preset"
        )
    try:
        return Genesis(
            GenesisContent(
                name=name,
                nonce=nonce,
                genesis_time_ms=genesis_time_ms,
                parameters=parameters,
                validators=tuple(sorted(validators, key=lambda member: member.public_key)),
                encoders=tuple(sorted(encoders, key=lambda member: member.public_key)),
                bonds=tuple(sorted(bonds, key=lambda member: member.public_key)),
            )
        )
    except GenesisError as error:
        raise MembershipError(f"these cards make no network: {error}") from None


def membership_faults(directory: DataDir, key: NodeKey, genesis: Genesis) -> list[str]:
    """Why this directory cannot run as the validator of genesis; empty when it can. Raises ConfigError."""
    member = genesis.validators.get(key.public_key)
    if member is None:
        return []
    faults = []
    pool = Pool.load(pool_path(directory))
    if (pool.root, pool.size) != (member.pool_root, member.pool_size):
        faults.append("its pool of challenge items is not the one genesis commits to")
    if pool.modality is not genesis.modality:
        faults.append(
            f"its pool holds items of modality {pool.modality.name}, the network {genesis.modality.name}"
        )
    seed = load_chain_seed(chain_path(directory))
    if chain_tip(seed, genesis.parameters.chain_length) != member.chain_tip:
        faults.append("its hash chain is not the one genesis commits to")
    return faults


def _ensure_pool(
    path: Path, items: Sequence[bytes] | Callable[[], Sequence[bytes]], modality: Modality
) -> Pool:
    if path.exists():
        return Pool.load(path)
    try:
        return Pool.create(path, items() if callable(items) else items, modality)
    except PrivateFileExists:
        return Pool.load(path)


def _ensure_chain(path: Path) -> bytes:
    if path.exists():
        return load_chain_seed(path)
    try:
        return create_chain_seed(path)
    except PrivateFileExists:
        return load_chain_seed(path)


def _check_stake(stake: int) -> None:
    if not 1 <= stake < 2**53:
        raise MembershipError(f"a stake is a whole number from 1 to {2**53 - 1}, not {stake}")
