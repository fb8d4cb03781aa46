"""Settings of one node: what can be set, its limits and its defaults.

A value comes from the first of: a flag, an environment variable DELTAMESH_*, the TOML file of the data
directory, the default. Every value knows where it came from (`origin`), so that an error can say so.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError

from config.addresses import checked_address, checked_api_address, checked_dial_address
from config.errors import ConfigError
from config.layers import Layer, environment_layer, file_layer, flag_layer
from config.presets import preset_for
from protocol.epochs.horizon import EVIDENCE_EPOCHS

NETWORK_PATTERN = r"^[a-z0-9][a-z0-9-]{0,31}$"
CONFIG_FILE_NAME = "config.toml"
# They decide where the file lies, so they come from a flag or the environment.
KEYS_OUTSIDE_FILE = frozenset({"home", "network"})
KEYS_OF_PRESETS = ("listen", "doppelganger_rounds")
"""Settings whose defaults the network's preset names."""
SECRET_KEYS = frozenset({"token"})
"""Settings whose values are never printed."""
DEFAULT = "default"
PRESET = "preset"
"""Origins of values that nobody set."""
_MIB = 1 << 20


def home_default(environment: Mapping[str, str]) -> Path:
    """The platform's place for data of this user, by the XDG base directory specification."""
    data_home = environment.get("XDG_DATA_HOME", "")
    base = Path(data_home) if data_home.startswith("/") else Path("~/.local/share").expanduser()
    return base / "deltamesh"


def _split(value: object) -> object:
    """A list may be written as one comma-separated text, as flags and the environment do."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _address(value: object) -> object:
    return checked_address(value) if isinstance(value, str) else value


def _peer_address(value: object) -> object:
    return checked_dial_address(value, peer_id_required=True) if isinstance(value, str) else value


def _announced(value: object) -> object:
    return checked_dial_address(value) if isinstance(value, str) else value


def _api_address(value: object) -> object:
    return checked_api_address(value) if isinstance(value, str) else value


def _expanded(value: object) -> object:
    """A path may begin with ~."""
    return Path(value).expanduser() if isinstance(value, str) and value else value


_ExpandedPath = Annotated[Path, BeforeValidator(_expanded)]
_Addresses = Annotated[
    tuple[Annotated[str, BeforeValidator(_address)], ...], BeforeValidator(_split), Field(max_length=64)
]
_AnnouncedAddresses = Annotated[
    tuple[Annotated[str, BeforeValidator(_announced)], ...], BeforeValidator(_split), Field(max_length=8)
]
_PeerAddresses = Annotated[
    tuple[Annotated[str, BeforeValidator(_peer_address)], ...], BeforeValidator(_split), Field(max_length=256)
]


_ApiAddress = Annotated[str, BeforeValidator(_api_address)]


class Settings(BaseModel):
    """Checked settings of one node. Build them with `load_settings`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: _ExpandedPath
    """Holds one data directory per network."""
    network: str = Field(default="localnet", pattern=NETWORK_PATTERN)
    """A preset (localnet, testnet) or the name of a network of one's own."""
    listen: _Addresses
    """Multiaddresses to listen on; port 0 lets the system choose."""
    announce: _AnnouncedAddresses = ()
    """Multiaddresses told to others, where they differ from what the node listens on (behind a NAT)."""
    bootstrap: _PeerAddresses = ()
    """Peers dialled first, beside the validators of genesis."""
    data: _ExpandedPath | None = None
    """Corpus of a validator: a folder, JSONL or Parquet. None: the text that Python ships with."""
    model: str = Field(default="wordllama-256", min_length=1, max_length=500)
    """What an encoder embeds with: a built-in model by name, or where one's own is."""
    align: Literal["reference", "consensus"] = "consensus"
    """What an encoder's model is aligned to: the reference, or, each epoch anew, what is certified."""
    learn: bool = False
    """Whether a trained model learns from the consensus between rounds."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where a validator scores; auto: on a GPU where there is one."""
    threads: int = Field(default=1, ge=1, le=1024)
    """Threads of the scoring process, or of the encoder's model."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important of what is logged."""
    log_format: Literal["auto", "console", "json"] = "auto"
    """Of standard error; auto: lines for people on a terminal, JSON elsewhere. The files are JSON."""
    retention_rounds: int = Field(default=64, ge=1, le=1_000_000)
    """Rounds whose reveals are kept; reports and certificates stay."""
    retention_epochs: int = Field(default=64, ge=EVIDENCE_EPOCHS, le=1_000_000)
    """Epochs before the newest whose encoders are kept; records and certificates of all stay."""
    score_bytes_max: int = Field(default=1024 * _MIB, ge=16 * _MIB, le=1 << 40)
    """Largest slab of embeddings [encoder, item, role, 1024] a validator takes on to score."""
    blob_bytes_max: int = Field(default=8192 * _MIB, ge=64 * _MIB, le=1 << 44)
    """Disk for blobs: views, reveals and report bodies."""
    api: _ApiAddress = "127.0.0.1:7780"
    """Where a validator serves its HTTP API: host:port (port 0 lets the system choose), or off."""
    api_access: Literal["auto", "open", "read", "token"] = "auto"
    """Who may use it: open to all; read: submitting needs a token; token: all needs one; auto: open on
    loopback, token elsewhere."""
    metrics: _ApiAddress = "off"
    """Where an encoder serves its metrics: host:port, or off. A validator's API serves them."""
    search_items_max: int = Field(default=100_000, ge=1_000, le=1_000_000)
    """Newest certified items the API searches, at some 14 KB of disk each, 4 of them mapped into memory."""
    url: str | None = Field(default=None, max_length=2_000)
    """Whose HTTP API reading commands ask, instead of this data directory."""
    token: str | None = Field(default=None, max_length=500, repr=False)
    """For that API, where it wants one."""
    doppelganger_rounds: int = Field(ge=0, le=64)
    """Rounds a starting node watches for another one with its key before it signs anything."""
    connections_max: int = Field(default=1024, ge=8, le=100_000)
    """Peers connected at once."""
    standing_validators: int = Field(default=6, ge=1, le=4096)
    """Validators an encoder keeps connected; those of its shards are dialled when their slot begins."""
    relay_peers: int = Field(default=4, ge=0, le=64)
    """Encoders that listen which an encoder keeps connected, to relay gossip."""

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def directory(self) -> Path:
        """The data directory: `<home>/<network>`."""
        return self.home / self.network

    def origin(self, key: str) -> str:
        """Where the value came from: `flag --x`, `environment DELTAMESH_X`, `<file> line n`, `preset x` or
        `default`.

        Raises KeyError for a key that is no setting.
        """
        if key not in type(self).model_fields:
            raise KeyError(key)
        return self._origins.get(key, DEFAULT)

    def is_given(self, key: str) -> bool:
        """Whether somebody set it. Raises KeyError for a key that is no setting."""
        return self.origin(key).partition(" ")[0] not in (DEFAULT, PRESET)


def load_settings(
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Settings:
    """Settings from flags (None: not given), environment (default: the process's), file and defaults.

    `file` stands in place of the data directory's. Raises ConfigError in one sentence that names the place of
    the mistake.
    """
    env = os.environ if environment is None else environment
    layers, faults = _layers(flags or {}, env, file)
    if faults:
        raise ConfigError(faults[0])
    return _build(layers, env)


def file_place(
    flags: Mapping[str, object] | None = None, environment: Mapping[str, str] | None = None
) -> Path:
    """Where the settings file lies, whatever is in it: as home and network say. Raises ConfigError."""
    env = os.environ if environment is None else environment
    known = frozenset(Settings.model_fields)
    layers = [flag_layer(flags or {}, known), environment_layer(env, known)[0]]
    placing = [
        Layer({key: value for key, value in layer.values.items() if key in KEYS_OUTSIDE_FILE}, layer.origins)
        for layer in layers
    ]
    return _build(placing, env).directory / CONFIG_FILE_NAME


def settings_faults(
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> list[str]:
    """Everything `load_settings` would refuse, one sentence each; also what a value above hides from it.

    `file` stands in place of the data directory's. Empty when all of it can be used.
    """
    env = os.environ if environment is None else environment
    try:
        layers, faults = _layers(flags or {}, env, file)
    except ConfigError as error:
        return [str(error)]
    # Each place by itself as well: a flag hides what is wrong in the file, until it is left out.
    for some in ([layer] for layer in layers):
        faults += _refusals(some, env)
    return list(dict.fromkeys(faults + _refusals(layers, env)))


def _layers(
    flags: Mapping[str, object], env: Mapping[str, str], file: Path | None
) -> tuple[list[Layer], list[str]]:
    """The places in order of precedence, and what is no setting in them. Raises ConfigError."""
    known = frozenset(Settings.model_fields)
    by_environment, faults = environment_layer(env, known)
    layers = [flag_layer(flags, known), by_environment]
    # The file lies in the directory that home and network name, so these come from the layers above it.
    file = file or file_place(flags, env)
    by_file, in_file = file_layer(file, known, elsewhere=KEYS_OUTSIDE_FILE)
    return [*layers, by_file], faults + in_file


def _build(layers: list[Layer], env: Mapping[str, str]) -> Settings:
    values, origins = _merged(layers, env)
    try:
        settings = Settings(**values)
    except ValidationError as error:
        first, *others = _sentences(error, origins)
        raise ConfigError(f"{first} (and {len(others)} more)" if others else first) from None
    settings._origins.update(origins)
    return settings


def _refusals(layers: list[Layer], env: Mapping[str, str]) -> list[str]:
    values, origins = _merged(layers, env)
    try:
        Settings(**values)
    except ValidationError as error:
        return _sentences(error, origins)
    return []


def _merged(layers: list[Layer], env: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    values: dict[str, Any] = {"home": home_default(env)}
    origins: dict[str, str] = {}
    for layer in reversed(layers):
        values |= layer.values
        origins |= layer.origins
    network = values.get("network", "localnet")
    preset = preset_for(network if isinstance(network, str) else "")
    for key in KEYS_OF_PRESETS:
        if key not in values:
            values[key], origins[key] = getattr(preset, key), f"{PRESET} {preset.name}"
    return values, origins


def _sentences(error: ValidationError, origins: Mapping[str, str]) -> list[str]:
    return [_sentence(dict(one), origins) for one in error.errors(include_url=False)]


def _sentence(one: Mapping[str, Any], origins: Mapping[str, str]) -> str:
    key = str(one["loc"][0])
    cause = str(one["msg"]).removeprefix("Value error, ")
    if key == "network" and one["type"] == "string_pattern_mismatch":
        cause = "a network's name has 1 to 32 of a-z, 0-9 and -, and does not begin with -"
    if one["type"] != "value_error":
        shown = "the value" if key in SECRET_KEYS else f"{one['input']!r:.200}"
        cause = f"{shown} is refused: {cause[:1].lower()}{cause[1:]}"
    return f"{key} from {origins.get(key, DEFAULT)}: {cause}"
