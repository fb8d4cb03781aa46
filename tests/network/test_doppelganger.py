"""One key on two machines: the second one notices before it has signed anything, whatever its role."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from config.datadir import DataDir
from config.settings import load_settings
from node.roles.base import Node
from node.roles.doppelganger import DoppelgangerFound
from node.roles.encoder import run_encoder_node
from node.roles.validator import run_validator_node
from node.run import _first_error
from tests.support.local_network import NETWORK, LocalNetwork, WordBag, local_network

pytestmark = [pytest.mark.anyio, pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(200)]
PATIENCE_S = 90.0
SECRETS = ("key", "chain.seed", "pool.msgpack")


def twin_of(node: Node, root: Path) -> Node:
    """The same key on another machine: its secrets were copied, what it has signed was not."""
    directory = DataDir.open(root, NETWORK)
    for name in SECRETS:
        if (node.directory.root / name).exists():
            shutil.copy2(node.directory.root / name, directory.root / name)
    given = {"home": root, "network": NETWORK, "doppelganger_rounds": 2, "api": "off"}
    settings = load_settings(given, environment={})
    return Node(settings, directory, node.genesis, node.key, lambda _: None)


def votes(node: Node) -> int:
    with sqlite3.connect(node.directory.signer) as database:
        return int(database.execute("SELECT count(*) FROM votes").fetchone()[0])


async def runs_until_it_refuses(run: Callable[[trio.Event], Awaitable[None]]) -> BaseException:
    with trio.fail_after(PATIENCE_S):
        try:
            await run(trio.Event())
        except BaseExceptionGroup as group:
            return _first_error(group)
    raise AssertionError("it stopped by itself")


def rounds_of(network: LocalNetwork) -> int:
    return len(network.certified("validator-1"))


async def test_second_node_with_a_key__refuses_before_it_votes(tmp_path: Path) -> None:
    async with local_network(tmp_path) as network:
        await network.until(lambda: rounds_of(network) >= 1, PATIENCE_S, "a first certified round")
        validator = twin_of(network.nodes["validator-0"], tmp_path / "twin-v")
        error = await runs_until_it_refuses(lambda stop: run_validator_node(validator, stop))
        assert isinstance(error, DoppelgangerFound)
        assert votes(validator) == 0

        encoder = twin_of(network.nodes["encoder-0"], tmp_path / "twin-e")
        bag = WordBag(encoder.me)
        error = await runs_until_it_refuses(lambda stop: run_encoder_node(encoder, lambda: bag, stop))
        assert isinstance(error, DoppelgangerFound)
        assert votes(encoder) == 0

        # Those that were there first go on, and nobody has said two things.
        before = rounds_of(network)
        await network.until(lambda: rounds_of(network) >= before + 2, PATIENCE_S, "rounds go on")
        assert [network.store(name).evidence() for name in network.validators] == [[], [], []]
        assert votes(network.nodes["validator-0"]) > 0
