"""`deltamesh keys rotate`: a new key takes over, a step at a time, and nothing is done twice or too early."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from config.config_file import create_config
from config.datadir import DataDir
from config.genesis import save_genesis
from node.cli.errors import ExitCode
from node.clock import now_ms
from node.epochs.history import keep_epoch
from node.keys import NodeKey, load_key, write_key
from node.membership import chain_path, is_prepared_validator, pool_path
from node.pool import Pool
from node.private_file import write_once
from node.roles.registering import LEAVING, LEFT, REGISTERING, RUNNING, is_leaving
from node.rotation import next_amount, read_successor, stake_of
from node.stake_wish import read_wish, write_wish
from node.status import STATUS_FILE_NAME, NodeStatus, write_status
from node.store import Store
from protocol.epochs.stakes import place_stake, transit_stake_max
from protocol.messages import AttestationRef, EpochCertificate
from protocol.schedule import ShardRound
from tests.support.cli import Ended, deltamesh
from tests.support.genesis import text_items
from tests.support.records import GENESIS, SEEDS, VALIDATORS, Story, newcomer, transfer

ME, OTHER = VALIDATORS[:2]


def says(directory: DataDir, role: str, phase: str | None, ago_ms: int = 0) -> None:
    """What the node there says of itself, or said last; None: it has stopped."""
    path = directory.root / STATUS_FILE_NAME
    if phase is None:
        path.unlink(missing_ok=True)
        return
    moment = now_ms() - ago_ms
    status = NodeStatus(role, "00", "00", os.getpid(), "1", moment, moment, phase=phase)
    write_status(path, status)


@pytest.fixture
def old(tmp_path: Path) -> DataDir:
    directory = DataDir.open(tmp_path / "old", "ours")
    write_key(directory.key, NodeKey(SEEDS[ME]))
    save_genesis(directory.genesis, GENESIS)
    directory.config.write_text('model = "ngram"\nlisten = ["/ip4/127.0.0.1/tcp/7700"]\nthreads = 2\n')
    return directory


@pytest.fixture
def new(tmp_path: Path) -> DataDir:
    return DataDir(tmp_path / "new" / "ours")


def rotate(old: DataDir, *options: object) -> Ended:
    return deltamesh("keys", "rotate", "--home", old.root.parent, "--network", "ours", *options)


def marks(ended: Ended) -> dict[str, str]:
    assert ended.code == 0, ended.err
    return {step["name"]: step["mark"] for step in ended.json["steps"]}


def now(ended: Ended) -> str | None:
    return next((name for name, mark in marks(ended).items() if mark == "now"), None)


def step(old: DataDir) -> str | None:
    return now(rotate(old, "--json"))


def test_settings_of_any_text__are_taken_over_as_they_are(old: DataDir, new: DataDir) -> None:
    says(old, "encoder", RUNNING)
    model = "script:/data/\U0001f600/\x7f/\u202e.py:new"
    relays = ["/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/2"]
    create_config(old.config.with_name("other.toml"), {"model": model, "announce": relays, "learn": True})
    text = old.config.with_name("other.toml").read_text()
    old.config.write_text(text)
    rotate(old, "--to-home", new.root.parent)
    assert tomllib.loads(new.config.read_text()) == {"model": model, "learn": True}


# -- an encoder --------------------------------------------------------------------------------------------


def test_encoder__is_replaced_step_by_step(old: DataDir, new: DataDir) -> None:
    says(old, "encoder", RUNNING)
    assert now(rotate(old, "--to-home", new.root.parent, "--json")) == "new node runs"
    assert load_key(new.key).public_key != ME
    assert "threads = 2" in new.config.read_text()
    assert "listen" not in new.config.read_text()

    says(new, "encoder", REGISTERING)
    assert step(old) == "registered"
    assert not is_leaving(old)
    says(new, "encoder", RUNNING)
    assert now(rotate(old, "--status", "--json")) == "told to leave"
    assert not is_leaving(old)
    assert step(old) == "left"
    assert is_leaving(old)
    says(old, "encoder", LEAVING)
    assert step(old) == "left"

    # Stopped too early it has not left, and has to run again.
    says(old, "encoder", None)
    ended = rotate(old)
    assert "now    left" in ended.out
    assert "deltamesh run encoder" in ended.err
    says(old, "encoder", LEFT)
    assert step(old) == "old node stopped"
    # One that hangs still has the key.
    says(old, "encoder", LEFT, ago_ms=60_000)
    assert step(old) == "old node stopped"
    says(old, "encoder", None)
    assert set(marks(rotate(old, "--json")).values()) == {"done"}


def test_rotation__goes_to_one_place_only(old: DataDir, new: DataDir, tmp_path: Path) -> None:
    assert rotate(old).code == ExitCode.USAGE
    assert rotate(old, "--status").code == ExitCode.NODE_STATE
    assert rotate(old, "--to-home", old.root.parent).code != 0
    assert rotate(old, "--to-home", new.root.parent).code == 0
    key = load_key(new.key)
    assert rotate(old, "--to-home", new.root.parent).code == 0
    assert load_key(new.key) == key
    ended = rotate(old, "--to-home", tmp_path / "third")
    assert ended.code == ExitCode.NODE_STATE
    assert "already" in ended.error


def test_another_key_in_the_new_place__is_given_nothing(old: DataDir, new: DataDir) -> None:
    says(old, "encoder", RUNNING)
    rotate(old, "--to-home", new.root.parent)
    new.key.unlink()
    write_key(new.key, NodeKey(SEEDS[OTHER]))
    says(new, "encoder", RUNNING)
    ended = rotate(old)
    assert ended.code == ExitCode.NODE_STATE
    assert OTHER.hex()[:8] in ended.error
    assert not is_leaving(old)


def test_damaged_record_of_a_rotation__says_what_to_do(old: DataDir, new: DataDir) -> None:
    assert rotate(old, "--to-home", new.root.parent).code == 0
    (old.root / "rotation").write_bytes(b"\x93junk")
    ended = rotate(old)
    assert ended.code == ExitCode.BAD_INPUT
    assert "with the same folder" in ended.error


# -- a validator -------------------------------------------------------------------------------------------


@pytest.fixture
def validator(old: DataDir) -> DataDir:
    Pool.create(pool_path(old), text_items("old", 20))
    write_once(chain_path(old), SEEDS[ME].hex().encode() + b"\n", "a chain")
    return old


def corpus(tmp_path: Path, *names: str) -> Path:
    path = tmp_path / "corpus.txt"
    path.write_text("\n\n".join(item.decode() for name in names for item in text_items(name, 80)))
    return path


def keep(directory: DataDir, told: Story) -> None:
    """The validator's store knows the epochs of a story."""
    with Store.open(directory.store, directory.blobs) as store:
        for epoch in told.taken:
            votes = (AttestationRef(bytes(32), bytes(64)),)
            keep_epoch(store, epoch, EpochCertificate(ShardRound(0, 3, 0), epoch.number, epoch.digest, votes))


def test_validator__needs_items_nobody_has_seen(validator: DataDir, new: DataDir, tmp_path: Path) -> None:
    ended = rotate(validator, "--to-home", new.root.parent)
    assert ended.code == ExitCode.USAGE
    assert "--data" in ended.error
    data = corpus(tmp_path, "old", "fresh")
    assert rotate(validator, "--to-home", new.root.parent, "--data", data).code == 0
    assert is_prepared_validator(new)
    seen = set(Pool.load(pool_path(validator)).items)
    assert not seen & set(Pool.load(pool_path(new)).items)


def test_validator__hands_its_stake_on_when_the_new_node_runs(
    validator: DataDir, new: DataDir, tmp_path: Path
) -> None:
    says(validator, "validator", RUNNING)
    begun = rotate(validator, "--to-home", new.root.parent, "--data", corpus(tmp_path, "fresh"), "--json")
    assert now(begun) == "new node runs"
    assert read_wish(validator, GENESIS.network_id) is None
    says(new, "validator", "waiting for stake")
    assert now(rotate(validator, "--status", "--json")) == "stake handed on"
    assert read_wish(validator, GENESIS.network_id) is None
    assert step(validator) == "stake handed on"
    wish = read_wish(validator, GENESIS.network_id)
    successor = read_successor(validator)
    assert wish is not None
    assert successor is not None
    assert wish.to == successor.public_key == load_key(new.key).public_key
    assert [signed.card.public_key for signed in wish.card] == [wish.to]
    # Given again, it is the same wish.
    assert step(validator) == "stake handed on"
    assert read_wish(validator, GENESIS.network_id) == wish

    write_wish(validator, None)
    assert (
        deltamesh(
            *("stake", "transfer", "--to", OTHER.hex(), "--amount", 3),
            *("--home", validator.root.parent, "--network", "ours"),
        ).code
        == 0
    )
    ended = rotate(validator)
    assert ended.code == ExitCode.NODE_STATE
    assert "under way" in ended.error


def test_transfers__move_all_but_the_least_and_no_more_than_may(tmp_path: Path) -> None:
    told, to = Story(), newcomer(0)
    total = told.newest.total_stake
    for _ in range(20):
        epoch = told.newest
        stake = stake_of(epoch, ME, to, None)
        amount = next_amount(epoch, stake)
        if not stake.movable:
            if not stake.on_its_way:
                break
            told.go_on()
            continue
        assert amount <= transit_stake_max(epoch)
        told.go_on(told.known(transfers=[transfer(ME, to, amount, epoch.number)]))
        left = stake_of(told.newest, ME, to, None)
        assert left.mine == stake.mine - amount
    assert stake.arrived + stake.mine == GENESIS.validators[ME].stake
    assert stake.mine == place_stake(told.newest)
    assert told.newest.total_stake == total


def test_validator__is_done_when_all_has_arrived(
    validator: DataDir, new: DataDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = newcomer(0)
    # The new key is one whose stake a story can tell of.
    monkeypatch.setattr("node.membership.create_key", lambda path: _kept(path, to))
    says(validator, "validator", RUNNING)
    data = corpus(tmp_path, "fresh")
    assert rotate(validator, "--to-home", new.root.parent, "--data", data).code == 0
    says(new, "validator", RUNNING)
    told = Story()
    while (stake := stake_of(told.newest, ME, to, None)).movable:
        amount = next_amount(told.newest, stake)
        told.go_on(told.known(transfers=[transfer(ME, to, amount, told.newest.number)]))
    keep(validator, told)
    assert step(validator) == "stake arrived"
    told.go_on()
    keep(new, told)  # the new node's store may be ahead of the old one's
    assert step(validator) == "old node stopped"
    says(validator, "validator", None)
    assert set(marks(rotate(validator, "--json")).values()) == {"done"}


def _kept(path: Path, key: bytes) -> NodeKey:
    write_key(path, NodeKey(SEEDS[key]))
    return NodeKey(SEEDS[key])
