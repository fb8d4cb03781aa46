"""`testnet prepare`: homes and genesis of a network whose nodes are started one by one, as in containers."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from config.addresses import checked_dial_address
from config.config_file import create_config
from config.datadir import DataDir
from config.errors import ConfigError, os_error_sentence
from config.files import PRIVATE, replace_file
from config.genesis import load_genesis, save_genesis
from config.presets import changed_parameters, fitting, preset
from node.clock import now_ms
from node.encoders.built_in import REFERENCES
from node.membership import assemble_genesis, prepare_encoder, prepare_validator
from node.modalities import load_challenge_items
from node.testnet.installed_prose import installed_prose
from node.testnet.plan import NETWORK, NODES_MAX, STAKE, START_LEAD_MS, models_of
from protocol.genesis import EncoderMember, Genesis, NetworkParameters, ValidatorMember
from protocol.modalities import TEXT, Modality

CHAIN_LENGTH: Final = 65_536
"""Slots that a prepared network can be used for: nine days of 12 s."""
PROSE_ITEMS_MAX: Final = 20_000
"""Challenge items taken from installed libraries: some 310 rounds of 64."""
ENCODERS_FOLDER: Final = "encoders"
CHEATERS_FOLDER: Final = "cheaters"
CHEAT_FILE: Final = "cheat"
"""In a cheater's home: in which way it cheats."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a prepared network is to consist of."""

    validators: int
    encoders: int
    cheaters: int
    cheats: tuple[str, ...]
    models: tuple[str, ...] = ()
    """What the honest run, in turn; none: one of each that needs no extra."""
    address: str = "/dns4/{name}/tcp/7700"
    """Where others dial a validator, `{name}` being its name."""
    changes: tuple[str, ...] = ()
    """Of the preset's parameters, such as `slot_ms=20000`."""
    data: Path | None = None
    seed: int = 0
    modality: Modality = TEXT


def prepare_testnet(
    root: Path, wanted: Prepared, progress: Callable[[str], None] = lambda _: None
) -> tuple[Genesis, bool]:
    """The genesis of the network under `root`, and whether it is a new one: one that is there is kept.

    May be run again after it was interrupted. Raises ConfigError, CorpusError.
    """
    path = root / "genesis.json"
    if path.exists():
        genesis = load_genesis(path)
        _hand_out(root, genesis)
        return genesis, False
    parameters = _checked(wanted)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(os_error_sentence("create the directory", root, error)) from None
    progress("reading challenge items")
    pools = _pools(wanted, parameters)
    progress("creating keys and genesis")
    validators = [_validator(root, index, wanted, parameters, pool) for index, pool in enumerate(pools)]
    models = wanted.models or models_of(wanted.modality)
    honest = [
        _encoder(root / ENCODERS_FOLDER / f"encoder-{index + 1}", models[index % len(models)])
        for index in range(wanted.encoders)
    ]
    cheating = [
        _encoder(
            root / CHEATERS_FOLDER / f"cheater-{index + 1}",
            parameters.reference_encoder,
            wanted.cheats[index % len(wanted.cheats)],
        )
        for index in range(wanted.cheaters)
    ]
    genesis = assemble_genesis(
        NETWORK,
        parameters,
        validators,
        [*honest, *cheating],
        now_ms() + START_LEAD_MS,
        secrets.token_bytes(32),
    )
    # First here, then in the homes: whoever goes on after an interruption finds one genesis, never two.
    save_genesis(path, genesis)
    _hand_out(root, genesis)
    return genesis, True


def homes(root: Path) -> list[Path]:
    """The homes of a prepared network, in order of their names."""
    groups = (root, root / ENCODERS_FOLDER, root / CHEATERS_FOLDER)
    return [home for group in groups for home in sorted(group.glob("*-*")) if (home / NETWORK).is_dir()]


def _hand_out(root: Path, genesis: Genesis) -> None:
    for home in homes(root):
        target = DataDir.existing(home, NETWORK).genesis
        if not target.exists():
            save_genesis(target, genesis)
        elif load_genesis(target).network_id != genesis.network_id:
            raise ConfigError(
                f"{home} belongs to another network than {root / 'genesis.json'}: remove what is in {root} "
                "(of containers: their volumes) to begin a new one"
            )


def _checked(wanted: Prepared) -> NetworkParameters:
    total = wanted.validators + wanted.encoders + wanted.cheaters
    if wanted.validators < 1 or not 1 <= total <= NODES_MAX:
        raise ConfigError(f"a prepared network has 1 validator or more, and at most {NODES_MAX} nodes")
    if wanted.encoders < 3:
        raise ConfigError(
            f"scores need three honest encoders or more, not {wanted.encoders}: raise --encoders"
        )
    if wanted.cheaters >= wanted.encoders:
        raise ConfigError(
            f"{wanted.cheaters} cheaters beside {wanted.encoders} encoders are no minority, and nothing "
            "survives a majority that cheats: raise --encoders or lower --cheaters"
        )
    for index in range(wanted.validators):
        try:
            checked_dial_address(_address(wanted, _name(index)))
        except (ValueError, KeyError, IndexError) as error:
            raise ConfigError(f"--address: {error}; write it such as /dns4/{{name}}/tcp/7700") from None
    start = preset(NETWORK).parameters
    start = msgspec.structs.replace(
        start,
        modality=wanted.modality.name,
        reference_encoder=REFERENCES[wanted.modality.name],
        chain_length=CHAIN_LENGTH,
        # All of them take part in every round, however few of them run.
        shard_size=max(start.shard_size, wanted.encoders + wanted.cheaters),
    )
    return fitting(changed_parameters(start, wanted.changes), wanted.changes)


def _address(wanted: Prepared, name: str) -> str:
    return wanted.address.replace("{name}", name)


def _name(index: int) -> str:
    return f"validator-{index + 1}"


def _pools(wanted: Prepared, parameters: NetworkParameters) -> list[Sequence[bytes]]:
    """One pool a validator: the items are dealt out, so that none is in two pools."""
    if wanted.data is None and wanted.modality is TEXT:
        items = installed_prose(PROSE_ITEMS_MAX)
    else:
        items = load_challenge_items(wanted.modality.name, wanted.data)
    random.Random(wanted.seed).shuffle(items)
    pools: list[Sequence[bytes]] = [items[index :: wanted.validators] for index in range(wanted.validators)]
    if min(map(len, pools)) < parameters.scored_items:
        raise ConfigError(
            f"{len(items)} challenge items are too few for {wanted.validators} validators, which need "
            f"{parameters.scored_items} each for one round: give more with --data"
        )
    return pools


def _validator(
    root: Path, index: int, wanted: Prepared, parameters: NetworkParameters, pool: Sequence[bytes]
) -> ValidatorMember:
    directory = DataDir.open(root / _name(index), NETWORK)
    address = _address(wanted, _name(index))
    if not directory.config.exists():
        create_config(directory.config, {"listen": (f"/ip4/0.0.0.0/tcp/{address.split('/')[4]}",)})
    return prepare_validator(
        directory,
        pool,
        stake=STAKE,
        addresses=(address,),
        chain_length=parameters.chain_length,
        modality=wanted.modality,
    )


def _encoder(home: Path, model: str, cheat: str | None = None) -> EncoderMember:
    directory = DataDir.open(home, NETWORK)
    if not directory.config.exists():
        create_config(directory.config, {"model": model})
    if cheat is not None:
        replace_file(home / CHEAT_FILE, cheat.encode() + b"\n", mode=PRIVATE)
    return prepare_encoder(directory, stake=STAKE)
