"""Named starting points: the parameters of a new network and where its nodes listen."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import msgspec

from config.errors import ConfigError, nearest_hint
from protocol.genesis import NetworkParameters, wave_fits


@dataclass(frozen=True, slots=True)
class Preset:
    """What a new network of this kind begins with."""

    name: str
    listen: tuple[str, ...]
    doppelganger_rounds: int
    """Rounds its nodes watch for another one with their key when they start."""
    parameters: NetworkParameters


# One machine of two cores runs every node: short slots, a batch of one scoring block.
_LOCALNET: Final = NetworkParameters(
    modality="text",
    slot_ms=12_000,
    epoch_rounds=8,
    shards_per_round=1,
    shard_size=16,
    scored_items=64,
    served_items_max=64,
    masks_per_item=2,
    wave_deadline_ms=5_000,
    reveal_deadline_ms=8_000,
    encoders_min=3,
    rule="hardened-5",
    reference_encoder="wordllama-256",
    tolerance_ppm=1_000,
    chain_length=4_096,
    probation_shards=4,
    silent_epochs_max=8,
    reputation_half_life_epochs=4,
    registration_work_bits=16,
    registration_stake=1,
    first_mask="cut",
)

# Machines of strangers over the internet. A shard of 70 keeps the risk of a majority of bad encoders under
# 1e-9 with 1,000 encoders of which a fifth are bad.
_TESTNET: Final = NetworkParameters(
    modality="text",
    slot_ms=60_000,
    epoch_rounds=60,
    shards_per_round=1,
    shard_size=70,
    scored_items=256,
    served_items_max=256,
    masks_per_item=2,
    wave_deadline_ms=20_000,
    reveal_deadline_ms=40_000,
    encoders_min=8,
    rule="hardened-5",
    reference_encoder="wordllama-256",
    tolerance_ppm=1_000,
    chain_length=65_536,
    probation_shards=4,
    silent_epochs_max=24,
    reputation_half_life_epochs=8,
    registration_work_bits=24,
    registration_stake=1,
    first_mask="cut",
)

SERVED_BLOCK: Final = 64
"""Served items are lowered by as many."""

PRESETS: Final = MappingProxyType(
    {
        "localnet": Preset("localnet", ("/ip4/127.0.0.1/tcp/0",), 0, _LOCALNET),
        "testnet": Preset("testnet", ("/ip4/0.0.0.0/tcp/7700",), 2, _TESTNET),
    }
)


def preset(name: str) -> Preset:
    """The preset of that name. Raises ConfigError naming the nearest one."""
    found = PRESETS.get(name)
    if found is None:
        raise ConfigError(f"there is no preset '{name}'{nearest_hint(name, PRESETS)}")
    return found


def changed_parameters(parameters: NetworkParameters, changes: Sequence[str]) -> NetworkParameters:
    """Parameters with changes such as `slot_ms=20000`. Raises ConfigError naming the nearest name."""
    values = {name: getattr(parameters, name) for name in parameters.__struct_fields__}
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals or name not in values:
            raise ConfigError(f"'{name}' is no parameter of a network{nearest_hint(name, values)}")
        if name == "chain_length":
            raise ConfigError("chain_length is what the validators' cards say: leave it out")
        whole = isinstance(values[name], int)
        if whole and not (text.isascii() and text.isdigit() and len(text) <= 16):
            raise ConfigError(f"{name} is a whole number, not '{text[:80]}'")
        values[name] = int(text) if whole else text
    try:
        # Records are positional: the list is checked against every limit of the record.
        return msgspec.convert(list(values.values()), NetworkParameters)
    except msgspec.ValidationError as error:
        names = list(values)
        place = re.sub(r"\$\[(\d+)\]", lambda found: names[int(found[1])], str(error))
        raise ConfigError(f"parameters of the network: {place}") from None


def fitting(parameters: NetworkParameters, changes: Sequence[str] = ()) -> NetworkParameters:
    """The parameters with as many served items, in blocks of 64, as the largest wave has room for.

    A picture is as large as six texts, and a masked part of it as the whole: a batch made for text may be too
    much. Scored items stay as they are, since on their number rests what the waves stop. Where `changes` name
    `served_items_max` it is left to them.
    """
    if any(change.startswith("served_items_max=") for change in changes):
        return parameters
    served = parameters.served_items_max
    while served and not wave_fits(msgspec.structs.replace(parameters, served_items_max=served)):
        served = (served - 1) // SERVED_BLOCK * SERVED_BLOCK
    return msgspec.structs.replace(parameters, served_items_max=served)


def preset_for(network: str) -> Preset:
    """The preset whose defaults a network's nodes take: its own, or testnet's."""
    return PRESETS[network if network in PRESETS else "testnet"]
