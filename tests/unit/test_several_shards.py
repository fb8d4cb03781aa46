"""Several shards a round, as commands and the local network's picture show them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from config.datadir import DataDir
from config.genesis import save_genesis
from node.cli.errors import ExitCode
from node.store import RoundState, Store
from node.testnet.plan import NETWORK
from node.testnet.plan import TestnetPlan as Plan
from node.testnet.summary import summarise
from node.testnet.table import line
from node.testnet.watch import RoundView, Watcher
from protocol.epochs.view import Epoch
from protocol.items import item_id
from protocol.rounds import effects as fx
from protocol.schedule import dealer_of, shard_round
from tests.support.certified_history import ITEMS, certified_history, open_store, record
from tests.support.cli import deltamesh

SHARDS = 3
HISTORY = certified_history(rounds=2, shards=SHARDS)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A node that has both rounds."""
    folder = tmp_path_factory.mktemp("home")
    directory = DataDir.open(folder, NETWORK)
    save_genesis(directory.genesis, HISTORY.genesis)
    with Store.open(directory.store, directory.blobs) as store:
        record(store, HISTORY, *HISTORY.facts)
    return folder


def test_rounds__have_a_row_a_shard_each_under_its_own_dealer(home: Path) -> None:
    rows = deltamesh("rounds", "--last", 1, "--home", home, "--json").json
    assert [(row["round"], row["shard"]) for row in rows] == [(1, shard) for shard in range(SHARDS)]
    epoch = Epoch.first(HISTORY.genesis)
    dealers = [dealer_of(epoch, shard_round(HISTORY.genesis, 1, shard)) for shard in range(SHARDS)]
    assert [row["dealer"] for row in rows] == [key.hex() for key in dealers]
    assert len(set(dealers)) == SHARDS
    shown = deltamesh("rounds", "show", 1, "--home", home).out
    assert all(f"1, shard {shard}, " in shown for shard in range(SHARDS))


def test_scores__are_averaged_over_shards_not_rounds(home: Path) -> None:
    rows = deltamesh("scores", "--home", home, "--json").json
    assert {row["shards"] for row in rows} == {2 * SHARDS}
    assert [(one["round"], one["shard"]) for one in rows[0]["rounds"]][:SHARDS] == [
        (1, shard) for shard in range(SHARDS)
    ]


def test_export__takes_the_shard_that_is_named(home: Path, tmp_path: Path) -> None:
    refused = deltamesh("rounds", "export", 1, "--shard", SHARDS, "--to", tmp_path / "x.dmr", "--home", home)
    assert refused.code == ExitCode.BAD_INPUT
    assert f"no shard {SHARDS}" in refused.error


def test_void_shard__gives_back_what_was_dealt_here_and_leaves_certified_items(tmp_path: Path) -> None:
    served, scored = b"one two three four five six seven eight", HISTORY.facts[1].items[:1]
    at, void = HISTORY.facts[1].at, shard_round(HISTORY.genesis, 0, 2)
    with open_store(tmp_path) as store:
        store.submit_item(item_id(served), served, modality="text", source="", submitted_ms=1)
        record(store, HISTORY, fx.ReleasedItems(void, (), (served,)))
        record(store, HISTORY, HISTORY.facts[1])
        record(store, HISTORY, fx.RoundVoid(void, "no report"))
        assert [one.content for one in store.pending(9)] == [served]
        certified = store.round(at.round, at.shard)
        assert certified is not None
        assert certified.state is RoundState.CERTIFIED
        item = store.item(item_id(scored[0]))
        assert item is not None
        assert item.state == "certified"


def test_picture__names_the_shard(tmp_path: Path) -> None:
    plan = Plan(tmp_path, HISTORY.genesis, (), ())
    watcher = Watcher(plan)
    view: RoundView = watcher.round(1, 2)
    certified = replace(view, state=RoundState.CERTIFIED, certified_ms=1_000, items=ITEMS)
    assert line(plan, certified).startswith("round 1/2: certified")
    assert summarise(plan, [certified], None, 1)["shards_per_round"] == SHARDS
