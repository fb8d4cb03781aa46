"""Validators and encoders as tasks of one process, over real sockets on loopback, with real stores."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import msgspec
import numpy as np
import trio
from numpy.typing import NDArray

from config.datadir import DataDir
from config.presets import preset
from config.settings import load_settings
from node.clock import now_ms
from node.encoders.strategy import WaveAnswer
from node.keys import load_key, peer_id
from node.membership import assemble_genesis, ensure_key, prepare_encoder, prepare_validator
from node.roles.base import Node
from node.roles.encoder import run_encoder_node
from node.roles.learning import LearnStep
from node.roles.validator import run_validator_node
from node.status import STATUS_FILE_NAME, NodeStatus, read_status
from node.store import Access, RoundRecord, Store
from node.testnet.plan import free_ports
from protocol.genesis import Genesis, NetworkParameters, ValidatorMember
from protocol.report import DIMENSIONS
from tests.support.certified_round import bag_of_words, topical_items

NETWORK = "localnet"
START_LEAD_MS = 6_000
STOPS_WITHIN_S = 10.0
SLOT_MS = 4_000
ROUNDS_OF_ITEMS = 24
PACE_ITEMS = 6_000
"""Some 0.3 s of a core, of which a busy machine gives a part."""


@dataclass
class WordBag:
    """An honest encoder that needs no model: every text is the sum of its words' vectors."""

    key: bytes
    name: str = "word-bag"
    delay_after_deadline_ms: int | None = None
    wants_published: bool = False
    fails: bool = False
    _encode: Any = None

    def answer(
        self, wave: int, views: Sequence[str], history: Mapping[int, WaveAnswer]
    ) -> NDArray[np.float32]:
        if self.fails:
            raise ZeroDivisionError("a model with a fault")
        self._encode = self._encode or bag_of_words(self.key)
        return np.frombuffer(self._encode(wave, views), "<f4").reshape(-1, DIMENSIONS)

    def offer(self, published: NDArray[np.float32]) -> None:
        raise AssertionError("nothing was asked for")


@dataclass
class LocalNetwork:
    """The running nodes by name, and how to look into them."""

    genesis: Genesis
    nodes: dict[str, Node]
    strategies: dict[str, WordBag]
    joining: dict[str, ValidatorMember]
    """Prepared validators that genesis does not know, with the addresses of their cards."""
    _nursery: trio.Nursery
    learners: dict[str, LearnStep] = field(default_factory=dict)
    """Of encoders whose model learns between rounds."""
    _stops: dict[str, trio.Event] = field(default_factory=dict)
    _ended: dict[str, trio.Event] = field(default_factory=dict)
    _readers: dict[str, Store] = field(default_factory=dict)

    @property
    def validators(self) -> list[str]:
        return [name for name in self.nodes if name.startswith("validator")]

    def start(self, name: str) -> None:
        """Start a node, or start it again."""
        self._stops[name], self._ended[name] = trio.Event(), trio.Event()
        self._nursery.start_soon(self._run, name)

    async def stop(self, name: str) -> None:
        """Stop a node in order; fails when it takes longer than it may."""
        self._stops[name].set()
        with trio.fail_after(STOPS_WITHIN_S):
            await self._ended[name].wait()

    async def _run(self, name: str) -> None:
        node, stop = self.nodes[name], self._stops[name]
        if name in self.strategies:
            await run_encoder_node(node, lambda: self.strategies[name], stop, learn=self.learners.get(name))
        else:
            await run_validator_node(node, stop)
        self._ended[name].set()

    def store(self, name: str) -> Store:
        """A validator's store, to read beside it."""
        if name not in self._readers:
            directory = self.nodes[name].directory
            self._readers[name] = Store.open(directory.store, directory.blobs, access=Access.READ_ONLY)
        return self._readers[name]

    def submit(self, name: str, item_id: bytes, item: bytes) -> None:
        """What `deltamesh submit` does beside a running validator."""
        directory = self.nodes[name].directory
        with Store.open(directory.store, directory.blobs) as store:
            store.submit_item(item_id, item, modality="text", source="test", submitted_ms=now_ms())

    def status(self, name: str) -> NodeStatus | None:
        return read_status(self.nodes[name].directory.root / STATUS_FILE_NAME)

    def certified(self, name: str) -> dict[int, RoundRecord]:
        """The certified rounds a validator holds."""
        if not self.nodes[name].directory.store.exists():
            return {}
        return {record.round: record for record in self.store(name).certified_since(0, 1_000)}

    async def until(self, condition: Callable[[], object], timeout_s: float, what: str) -> None:
        """Wait for a condition on stores, which have no event."""
        with trio.move_on_after(timeout_s):
            while not condition():  # noqa: ASYNC110
                await trio.sleep(0.1)
            return
        held = {name: sorted(self.certified(name)) for name in self.validators}
        raise AssertionError(f"not within {timeout_s:g} s: {what}; certified: {held}")

    def close(self) -> None:
        """Close what was opened to read."""
        for store in self._readers.values():
            store.close()


@asynccontextmanager
async def local_network(
    root: Path,
    validators: int = 3,
    encoders: int = 3,
    strangers: int = 0,
    joiners: int = 0,
    encoder_settings: Mapping[str, object] | None = None,
    api: str = "off",
    rounds_of_items: int = ROUNDS_OF_ITEMS,
    **changes: int,
) -> AsyncIterator[LocalNetwork]:
    """A network that runs until the end of the block; then every node has stopped in time.

    Strangers are encoders that genesis does not know, joiners validators. `changes` are parameters unlike the
    preset's, `encoder_settings` what encoders are told, `api` where every validator's HTTP API listens.
    `rounds_of_items` says how many slots the items last, void ones and those before the start among them.
    """
    asked = encoder_settings or {}
    genesis, nodes, joining = _prepare(
        root, validators, encoders, strangers, joiners, asked, changes, rounds_of_items, api
    )
    strategies = {
        name: WordBag(node.me) for name, node in nodes.items() if name.startswith(("encoder", "stranger"))
    }
    with ExitStack() as stack:
        async with trio.open_nursery() as nursery:
            network = LocalNetwork(genesis, nodes, strategies, joining, nursery)
            stack.callback(network.close)
            for name in nodes:
                network.start(name)
            try:
                yield network
                async with trio.open_nursery() as stopping:
                    for name in nodes:
                        stopping.start_soon(network.stop, name)
            finally:
                nursery.cancel_scope.cancel()


def paced_slot_ms() -> int:
    """A slot that is longer, up to twice, where the machine is busy: phases end early, but not before."""
    began_s, spent_s = perf_counter(), process_time()
    topical_items("pace", PACE_ITEMS)
    share = (process_time() - spent_s) / (perf_counter() - began_s)
    return round(SLOT_MS * min(2.0, max(1.0, 1.0 / share)))


def _parameters(changes: dict[str, int]) -> NetworkParameters:
    slot_ms = changes.get("slot_ms", SLOT_MS)
    base = msgspec.structs.replace(
        preset(NETWORK).parameters,
        slot_ms=slot_ms,
        wave_deadline_ms=slot_ms // 2,
        reveal_deadline_ms=slot_ms // 2,
        masks_per_item=1,
    )
    return msgspec.structs.replace(base, **changes)


def _prepare(
    root: Path,
    validators: int,
    encoders: int,
    strangers: int,
    joiners: int,
    encoder_settings: Mapping[str, object],
    changes: dict[str, int],
    rounds_of_items: int,
    api: str,
) -> tuple[Genesis, dict[str, Node], dict[str, ValidatorMember]]:
    parameters = _parameters(changes)
    directories = {f"validator-{n}": DataDir.open(root / f"v{n}", NETWORK) for n in range(validators)}
    directories |= {f"joiner-{n}": DataDir.open(root / f"j{n}", NETWORK) for n in range(joiners)}
    members: dict[str, ValidatorMember] = {}
    flags: dict[str, dict[str, object]] = {}
    for (name, directory), port in zip(directories.items(), free_ports(validators + joiners), strict=True):
        pool = topical_items(name, rounds_of_items * parameters.scored_items // validators)
        member = prepare_validator(
            directory, pool, stake=100, addresses=(), chain_length=parameters.chain_length
        )
        listen = f"/ip4/127.0.0.1/tcp/{port}"
        address = f"{listen}/p2p/{peer_id(member.public_key)}"
        members[name] = msgspec.structs.replace(member, addresses=(address,))
        flags[name] = {"listen": [listen], "api": api}
    directories |= {f"encoder-{n}": DataDir.open(root / f"e{n}", NETWORK) for n in range(encoders)}
    directories |= {f"stranger-{n}": DataDir.open(root / f"s{n}", NETWORK) for n in range(strangers)}
    for n in range(strangers):
        ensure_key(directories[f"stranger-{n}"])
    encoding = [
        prepare_encoder(directory, stake=100)
        for name, directory in directories.items()
        if name.startswith("encoder")
    ]
    joining = {name: members.pop(name) for name in [*members] if name.startswith("joiner")}
    genesis = assemble_genesis(
        NETWORK, parameters, [*members.values()], encoding, now_ms() + START_LEAD_MS, secrets.token_bytes(32)
    )
    nodes = {}
    for name, directory in directories.items():
        settled = flags.get(name, encoder_settings)
        given = {"home": directory.root.parent, "network": NETWORK, **settled}
        settings = load_settings(given, environment={})
        nodes[name] = Node(settings, directory, genesis, load_key(directory.key), lambda _: None)
    return genesis, nodes, joining
