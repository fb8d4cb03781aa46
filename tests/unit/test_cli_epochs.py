"""`deltamesh epochs` and `leave`: what a validator's store says of epochs, and an encoder's wish."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from config.genesis import save_genesis
from node.cli.errors import ExitCode
from node.epochs.history import keep_epoch
from node.roles.registering import is_leaving
from node.store import Store
from protocol.epochs.known import Epochs
from protocol.epochs.transition import next_epoch, no_inputs
from protocol.messages import AttestationRef, EpochCertificate
from protocol.schedule import ShardRound
from tests.support.cli import deltamesh, directory_of
from tests.support.genesis import small_network

GENESIS, _, ENCODERS = small_network(4, 6)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A validator's home whose store knows epochs 0 to 2."""
    directory = directory_of(tmp_path / "v")
    directory.root.mkdir(parents=True, exist_ok=True)
    save_genesis(directory.genesis, GENESIS)
    epochs = Epochs(GENESIS)
    with Store.open(directory.store, directory.blobs) as store:
        for number in (1, 2):
            epochs.add(next_epoch(epochs.newest, epochs, no_inputs(number), ()))
            at = ShardRound(0, 3, 0)
            votes = (AttestationRef(bytes(32), bytes(64)),)
            keep_epoch(store, epochs.newest, EpochCertificate(at, number, epochs.newest.digest, votes))
    return tmp_path / "v"


def test_epochs__lists_the_newest_and_their_members(home: Path) -> None:
    ended = deltamesh("epochs", "--home", home, "--json")
    assert [one["epoch"] for one in ended.json] == [0, 1, 2]
    assert all((one["validators"], one["encoders"], one["stake"]) == (4, 6, 400) for one in ended.json)
    assert ended.json[2]["previous"] == ended.json[1]["record"]
    table = deltamesh("epochs", "--home", home, "--last", 1).out
    assert ended.json[2]["record"][:16] in table
    assert ended.json[1]["record"][:16] not in table


def test_epochs_show__names_every_member(home: Path) -> None:
    shown = deltamesh("epochs", "show", 2, "--home", home, "--json").json
    assert {one["encoder"] for one in shown["encoders_state"]} == {one.key.hex() for one in ENCODERS}
    text = deltamesh("epochs", "show", 2, "--home", home).out
    assert all(one.key.hex()[:8] in text for one in ENCODERS)


def test_epochs_weights__are_csv_that_is_never_overwritten(home: Path, tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(deltamesh("epochs", "weights", 1, "--home", home).out)))
    assert [row["encoder"] for row in rows] == sorted(one.key.hex() for one in ENCODERS)
    assert {row["weight_ppm"] for row in rows} == {"0"}  # no round was certified
    path = tmp_path / "weights.csv"
    assert deltamesh("epochs", "weights", 1, "--home", home, "--to", path).code == 0
    kept = path.read_bytes()
    assert deltamesh("epochs", "weights", 2, "--home", home, "--to", path).code == ExitCode.BAD_INPUT
    assert path.read_bytes() == kept


def test_epoch_that_is_not_known__says_which_is_the_newest(home: Path) -> None:
    ended = deltamesh("epochs", "show", 9, "--home", home)
    assert ended.code == ExitCode.BAD_INPUT
    assert "the newest is 2" in ended.error


def test_leave__is_a_wish_that_can_be_taken_back(tmp_path: Path) -> None:
    home = tmp_path / "e"
    assert deltamesh("init", "--role", "encoder", "--home", home).code == 0
    directory = directory_of(home)
    save_genesis(directory.genesis, GENESIS)
    assert deltamesh("leave", "--home", home).out.strip() == "leaves"
    assert is_leaving(directory)
    assert deltamesh("leave", "--home", home, "--undo").out.strip() == "stays"
    assert not is_leaving(directory)
