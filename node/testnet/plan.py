"""What a local network consists of, and its data directories on disk."""

from __future__ import annotations

import random
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from config.datadir import DataDir
from config.errors import ConfigError
from config.genesis import save_genesis
from config.presets import fitting, preset
from node.clock import now_ms
from node.encoders.alignment_store import FOLDER_NAME
from node.encoders.built_in import REFERENCES, encoder_names
from node.encoders.models import TRAINED
from node.keys import peer_id
from node.membership import assemble_genesis, prepare_encoder, prepare_validator
from node.modalities import load_challenge_items
from node.testnet.maps import hand_out_map
from protocol.genesis import Genesis, NetworkParameters
from protocol.modalities import TEXT, Modality

NETWORK = "localnet"
STAKE = 100
START_LEAD_MS = 8_000
"""Round 0 begins this long after genesis: the first nodes need it to start."""
MODELS = ("wordllama-256", "wordllama-128", "wordllama-64", "ngram")
"""Of a network of text: each node fits its map in a few seconds."""
NODES_MAX = 256


def models_of(modality: Modality) -> tuple[str, ...]:
    """What honest encoders run unless told, the reference first: built-in ones that need no extra."""
    return MODELS if modality is TEXT else encoder_names(modality.name)


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One process."""

    name: str
    role: str
    home: Path
    public_key: bytes
    listen: str | None
    model: str | None = None
    cheat: str | None = None
    api: str | None = None
    """Where a validator's HTTP API listens."""
    metrics: str | None = None
    """Where an encoder serves its metrics; a validator's are in its API."""
    learns: bool = False
    """Whether an encoder's model learns between rounds."""

    @property
    def directory(self) -> Path:
        """Its data directory."""
        return self.home / NETWORK


@dataclass(frozen=True, slots=True)
class TestnetPlan:
    """A local network ready to be started."""

    root: Path
    genesis: Genesis
    validators: tuple[NodePlan, ...]
    encoders: tuple[NodePlan, ...]

    @property
    def nodes(self) -> tuple[NodePlan, ...]:
        """All processes, validators first."""
        return self.validators + self.encoders

    @property
    def rounds_max(self) -> int:
        """Rounds its challenge items are enough for if all validators deal equally often; less as a rule."""
        parameters = self.genesis.parameters
        pools = [member.pool_size for member in self.genesis.validators.values()]
        return min(pools) // parameters.scored_items * len(pools) // parameters.shards_per_round


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user asked for; `cheaters` of the `encoders` cheat, the others run `models` in turn."""

    validators: int
    encoders: int
    cheaters: int
    cheats: tuple[str, ...]
    data: Path | None
    seed: int
    models: tuple[str, ...] = ()
    """None of them: one of each built-in one of the modality that needs no extra."""
    shards: int = 1
    shard_size: int | None = None
    """Encoders of one shard; None leaves it to the preset."""
    modality: Modality = TEXT
    observed: bool = False
    """Whether encoders serve metrics."""
    learners: int = 0
    """So many of those that run a trained model learn; the others stay as they are."""


def plan_testnet(
    root: Path,
    wanted: Wanted,
    progress: Callable[[str], None] = lambda _: None,
    beside: AbstractContextManager[object] | None = None,
) -> TestnetPlan:
    """Create keys, pools, slow maps and the genesis of a new network under `root`.

    `beside` is entered first and left before the network's time begins. Raises ConfigError, CorpusError,
    EncoderError.
    """
    _check(wanted)
    if root.exists() and any(root.iterdir()):
        raise ConfigError(f"{root} is not empty: a local network starts in a folder of its own, give --dir")
    parameters = _parameters(wanted)
    with beside or nullcontext():
        progress("reading challenge items")
        pools = list(_pools(wanted, parameters))
        progress("creating keys and genesis")
        ports = free_ports(2 * wanted.validators + wanted.encoders)
        api_ports = ports[wanted.validators :]
        metrics_ports = api_ports[wanted.validators :]
        members = []
        validators = []
        for index, (pool, port, api_port) in enumerate(zip(pools, ports, api_ports, strict=False)):
            home = root / f"validator-{index + 1}"
            directory = DataDir.open(home, NETWORK)
            member = prepare_validator(
                directory,
                pool,
                stake=STAKE,
                addresses=(),
                chain_length=parameters.chain_length,
                modality=wanted.modality,
            )
            listen = f"/ip4/127.0.0.1/tcp/{port}"
            address = f"{listen}/p2p/{peer_id(member.public_key)}"
            members.append(msgspec.structs.replace(member, addresses=(address,)))
            api = f"127.0.0.1:{api_port}"
            validators.append(NodePlan(home.name, "validator", home, member.public_key, listen, api=api))
        encoders = []
        for index, (model, cheat) in enumerate(_casting(wanted)):
            home = root / f"encoder-{index + 1}"
            key = prepare_encoder(DataDir.open(home, NETWORK), stake=STAKE).public_key
            metrics = f"127.0.0.1:{metrics_ports[index]}" if wanted.observed else None
            encoders.append(NodePlan(home.name, "encoder", home, key, None, model, cheat, metrics=metrics))
        quick = {*MODELS, parameters.reference_encoder}
        encoders = _learning(encoders, wanted.learners)
        for model in sorted({plan.model for plan in encoders if plan.model} - quick):
            progress(f"aligning {model}")
            maps = [plan.directory / FOLDER_NAME for plan in encoders if plan.model == model]
            hand_out_map(model, parameters.reference_encoder, parameters.modality, maps)
    genesis = assemble_genesis(
        NETWORK,
        parameters,
        members,
        [prepare_encoder(DataDir.open(plan.home, NETWORK), stake=STAKE) for plan in encoders],
        now_ms() + START_LEAD_MS,
        secrets.token_bytes(32),
    )
    for plan in (*validators, *encoders):
        save_genesis(plan.directory / "genesis.json", genesis)
    save_genesis(root / "genesis.json", genesis)
    return TestnetPlan(root, genesis, tuple(validators), tuple(encoders))


def _parameters(wanted: Wanted) -> NetworkParameters:
    parameters = preset(NETWORK).parameters
    changed = msgspec.structs.replace(
        parameters,
        modality=wanted.modality.name,
        reference_encoder=REFERENCES[wanted.modality.name],
        shards_per_round=wanted.shards,
        shard_size=wanted.shard_size or parameters.shard_size,
    )
    return fitting(changed)


def _check(wanted: Wanted) -> None:
    honest = wanted.encoders - wanted.cheaters
    if not 1 <= wanted.validators + wanted.encoders <= NODES_MAX:
        raise ConfigError(f"a local network has at most {NODES_MAX} nodes")
    if wanted.validators < 1:
        raise ConfigError("a network needs at least one validator: raise --validators")
    if wanted.shards > wanted.validators:
        raise ConfigError(
            f"each of the {wanted.shards} shards of a round needs a dealer of its own, and there are "
            f"{wanted.validators} validators: raise --validators or lower --shards"
        )
    if honest < 3:
        raise ConfigError(
            f"{wanted.encoders} encoders of which {wanted.cheaters} cheat leave {honest} honest ones; scores "
            "need three or more: raise --encoders or lower --cheaters"
        )
    if wanted.cheaters >= honest:
        raise ConfigError(
            f"{wanted.cheaters} cheaters among {wanted.encoders} encoders are no minority, and nothing "
            "survives a majority that cheats: raise --encoders or lower --cheaters"
        )


def _pools(wanted: Wanted, parameters: NetworkParameters) -> Iterator[Sequence[bytes]]:
    """One pool a validator: the corpus is dealt out, so that no item is in two pools."""
    items = load_challenge_items(wanted.modality.name, wanted.data)
    random.Random(wanted.seed).shuffle(items)
    for index in range(wanted.validators):
        pool = items[index :: wanted.validators]
        if len(pool) < parameters.scored_items:
            raise ConfigError(
                f"{len(items)} challenge items are too few for {wanted.validators} validators, which need "
                f"{parameters.scored_items} each for one round: give more with --data"
            )
        yield pool


def _casting(wanted: Wanted) -> list[tuple[str, str | None]]:
    """Who runs which model and who cheats, shuffled: nothing about a key tells."""
    honest_count = wanted.encoders - wanted.cheaters
    models = wanted.models or models_of(wanted.modality)
    reference = REFERENCES[wanted.modality.name]
    honest = [(models[index % len(models)], None) for index in range(honest_count)]
    cheating = [(reference, wanted.cheats[index % len(wanted.cheats)]) for index in range(wanted.cheaters)]
    cast: list[tuple[str, str | None]] = [*honest, *cheating]
    random.Random(wanted.seed).shuffle(cast)
    return cast


def free_ports(count: int) -> list[int]:
    """TCP ports of loopback that the system calls free, held together until all are chosen."""
    with ExitStack() as stack:
        ports = []
        for _ in range(count):
            probe = stack.enter_context(closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)))
            probe.bind(("127.0.0.1", 0))
            ports.append(int(probe.getsockname()[1]))
        return ports


def _learning(encoders: Sequence[NodePlan], learners: int) -> list[NodePlan]:
    """The encoders, the first that run a trained model told to learn. Raises ConfigError for too few."""
    able = [one for one in encoders if one.cheat is None and str(one.model).startswith(TRAINED)]
    if learners > len(able):
        raise ConfigError(
            f"{learners} encoders are to learn and {len(able)} run a model that can: lower --learn, or give "
            f"--model {TRAINED}FOLDER, made by `deltamesh encoder train`"
        )
    chosen = {one.name for one in able[:learners]}
    return [replace(one, learns=one.name in chosen) for one in encoders]
