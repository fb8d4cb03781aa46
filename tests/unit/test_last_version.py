"""What released versions wrote is read by this one: data directories, signed bytes, older databases."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import node.gallery.database
import node.pairs.pairs
import node.signer.ledger
import node.store.database
from config.datadir import DataDir
from config.genesis import load_genesis
from node.cli.errors import ExitCode
from node.epochs.lock_file import read_lock
from node.gallery.database import GalleryFile
from node.gallery.errors import GalleryStorageError
from node.keys import load_key
from node.membership import membership_faults
from node.pairs import Pairs
from node.signer import EquivocationRefused, Signer, SignerError, VoteSlot
from node.store import Store, StoreError
from node.store.errors import StoreFull, StoreTooNew
from node.store.migrating import copy_path
from protocol.certificates import check_certificate
from protocol.codec import decode, encode
from protocol.epochs.view import Epoch
from protocol.messages import Certificate
from protocol.statement import ENVELOPE_BYTES_MAX, Envelope, parse, verify_signature
from tests.support.cli import ROOT, deltamesh

FIXTURES = ROOT / "tests" / "fixtures"
VERSIONS = sorted(path.name.removesuffix(".tar.xz") for path in FIXTURES.glob("data-*.tar.xz"))
SIZE_BYTES_MAX = 300_000


@pytest.fixture(scope="module", params=VERSIONS)
def unpacked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The homes of a validator and an encoder as a released version left them, and what is in them."""
    root = tmp_path_factory.mktemp("last")
    archive = FIXTURES / f"{request.param}.tar.xz"
    assert archive.stat().st_size < SIZE_BYTES_MAX
    with tarfile.open(archive) as packed:
        if hasattr(tarfile, "data_filter"):  # not in the first releases of 3.11; the archive is our own
            packed.extraction_filter = tarfile.data_filter
        packed.extractall(root)
    return root, json.loads((FIXTURES / f"{request.param}.json").read_text())


@pytest.fixture
def old(unpacked: tuple[Path, Any], short_path: Path) -> Path:
    """A copy of them, which a test may change."""
    return Path(shutil.copytree(unpacked[0], short_path / "old"))


@pytest.fixture
def expected(unpacked: tuple[Path, Any]) -> Any:
    return unpacked[1]


@pytest.fixture
def validator(old: Path) -> DataDir:
    return DataDir.open(old / "validator", "localnet")


@pytest.fixture
def store(validator: DataDir) -> Iterator[Store]:
    with Store.open(validator.store, validator.blobs) as opened:
        yield opened


def test_store__has_its_rounds_scores_steps_and_embeddings(store: Store, expected: Any) -> None:
    found = store.rounds(100)
    assert len(found) == len(expected["rounds"]) > 5
    for one, told in zip(found, expected["rounds"], strict=True):
        report = None if one.report_digest is None else one.report_digest.hex()
        assert (one.round, one.state.value, report) == (told["round"], told["state"], told["report"])
        assert len(store.steps(one.round, one.shard)) == told["steps"]
        scores = {row.encoder.hex(): row.score for row in store.scores_of(one.round, one.shard)}
        assert scores == pytest.approx(told["scores"])
    embeddings = sorted(
        [one.item_id.hex(), one.round, one.vector[:8].hex()] for one in store.embeddings(0, 1 << 30)
    )
    assert embeddings == expected["embeddings"]
    assert store.newest_epoch() == expected["newest_epoch"]


def test_certificates__still_hold(store: Store, validator: DataDir) -> None:
    epoch = Epoch.first(load_genesis(validator.genesis))
    checked = 0
    for one in store.rounds(100):
        if one.certificate is not None and one.epoch == 0:
            check_certificate(epoch, decode(one.certificate, Certificate, size_bytes_max=ENVELOPE_BYTES_MAX))
            checked += 1
    assert checked


def test_signed_bytes__decode_verify_and_encode_to_the_same(validator: DataDir) -> None:
    genesis = load_genesis(validator.genesis)
    connection = sqlite3.connect(validator.store)
    rows = connection.execute("SELECT kind, digest, envelope FROM statements").fetchall()
    connection.close()
    assert len({kind for kind, *_ in rows}) >= 5
    for kind, digest, data in rows:
        statement = parse(data, genesis.network_id)
        assert (statement.kind.value, statement.digest) == (kind, digest)
        assert verify_signature(statement)
        envelope = decode(data, Envelope, size_bytes_max=ENVELOPE_BYTES_MAX)
        assert encode(envelope) == data
        assert encode(statement.body) == envelope.body


def test_genesis__has_the_same_network_id(validator: DataDir) -> None:
    genesis = load_genesis(validator.genesis)
    connection = sqlite3.connect(validator.store)
    (data,) = connection.execute("SELECT envelope FROM statements LIMIT 1").fetchone()
    connection.close()
    assert decode(data, Envelope, size_bytes_max=ENVELOPE_BYTES_MAX).network_id == genesis.network_id


def test_pool_chain_and_key__are_those_genesis_commits_to(validator: DataDir) -> None:
    assert membership_faults(validator, load_key(validator.key), load_genesis(validator.genesis)) == []


def test_epoch_lock__is_read(validator: DataDir) -> None:
    lock = read_lock(validator.root / "epoch.lock", load_genesis(validator.genesis).network_id)
    assert lock is not None
    assert lock.epoch >= 1


def test_signer__remembers_every_vote_and_signs_no_other(validator: DataDir, expected: Any) -> None:
    genesis, key = load_genesis(validator.genesis), load_key(validator.key)
    with Signer.open(validator.signer, key.seed, genesis.network_id, first_round=1_000) as signer:
        assert len(expected["votes"]) > 10
        for kind, round_, shard, wave, epoch, digest in expected["votes"]:
            slot = VoteSlot(kind=kind, epoch=epoch, round=round_, shard=shard, wave=wave)
            assert signer.sign(slot, bytes.fromhex(digest)) == signer.sign_free(bytes.fromhex(digest))
            with pytest.raises(EquivocationRefused):
                signer.sign(slot, b"\x01" * 32)


def test_gallery_and_pairs__are_read(old: Path, validator: DataDir, expected: Any) -> None:
    with GalleryFile.open(validator.gallery) as gallery:
        assert gallery._one("SELECT count(*) FROM items") == (expected["gallery_items"],)
    with Pairs.open(DataDir.open(old / "encoder", "localnet").root) as pairs:
        items, vectors = pairs.newest(100)
    assert len(items) == len(vectors) == 5


def test_reading_commands__work_on_it_as_on_their_own(validator: DataDir, expected: Any, old: Path) -> None:
    home = ("--home", old / "validator", "--json")
    if _version(validator.store) < len(MODULES["store"].MIGRATIONS):
        # Who only reads changes no schema, and says who does.
        assert "start the node once" in deltamesh("rounds", *home).error
        _open("store", validator)
    rounds = deltamesh("rounds", *home).json
    assert [row["round"] for row in rounds] == [one["round"] for one in expected["rounds"]]
    for command in (["scores"], ["epochs"], ["rounds", "show", rounds[0]["round"]]):
        ended = deltamesh(*command, *home)
        assert (ended.code, bool(ended.json)) == (ExitCode.OK, True), ended.err
    assert deltamesh("status", *home).code == ExitCode.NODE_STATE


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(180)
def test_validator__runs_on_it_and_stops_in_order(old: Path) -> None:
    command = [sys.executable, "-m", "node.cli", "run", "validator", "--home", str(old / "validator")]
    output = old / "output"
    with output.open("wb") as file:
        running = subprocess.Popen(
            [*command, "--listen", "/ip4/127.0.0.1/tcp/0", "--api", "127.0.0.1:0"],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        deadline_s = time.monotonic() + 120
        while b"node.ready" not in output.read_bytes():
            assert running.poll() is None, output.read_text()
            assert time.monotonic() < deadline_s, output.read_text()
            time.sleep(0.1)
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 0
    finally:
        running.kill()
        running.wait()
    assert "Traceback" not in output.read_text()


# -- an older schema, made older on purpose ----------------------------------------------------------------

ADDED = "CREATE TABLE added_by_the_next_version (one INTEGER)"
ADDED_LATER = "CREATE TABLE added_later (one INTEGER)"
BROKEN = "INSERT INTO no_such_table VALUES (1)"


def _open(name: str, directory: DataDir) -> None:
    """Open one of the databases of a data directory for writing, as a node does."""
    match name:
        case "store":
            Store.open(directory.store, directory.blobs).close()
        case "gallery":
            GalleryFile.open(directory.gallery, create=True).close()
        case "pairs":
            Pairs.open(directory.root).close()
        case "signer":
            network_id = load_genesis(directory.genesis).network_id
            Signer.open(directory.signer, load_key(directory.key).seed, network_id, first_round=5_000).close()


def _version(path: Path) -> int:
    connection = sqlite3.connect(path)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return int(version)


def _tables(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    found = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    connection.close()
    return found


MODULES = {
    "store": node.store.database,
    "gallery": node.gallery.database,
    "pairs": node.pairs.pairs,
    "signer": node.signer.ledger,
}
TOO_NEW = {"store": StoreTooNew, "gallery": GalleryStorageError, "pairs": StoreTooNew, "signer": SignerError}
WITH_COPIES = sorted(set(MODULES) - {"signer"})


@pytest.fixture
def directory(old: Path, request: pytest.FixtureRequest) -> DataDir:
    home = "encoder" if request.node.callspec.params.get("name") == "pairs" else "validator"
    return DataDir.open(old / home, "localnet")


def _path(name: str, directory: DataDir) -> Path:
    return directory.root / f"{name}.sqlite"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_older_database__is_brought_up_step_by_step(
    directory: DataDir, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = MODULES[name]
    path = _path(name, directory)
    version = _version(path)
    monkeypatch.setattr(module, "MIGRATIONS", (*module.MIGRATIONS, (ADDED,), (ADDED_LATER,)))
    _open(name, directory)
    assert {"added_by_the_next_version", "added_later"} <= _tables(path)
    copy = copy_path(path, version)
    assert copy.exists() == (name in WITH_COPIES)
    if name in WITH_COPIES:
        assert "added_by_the_next_version" not in _tables(copy)
        assert copy.stat().st_mode & 0o077 == 0
    # The newest version has nothing left to do.
    copy.unlink(missing_ok=True)
    _open(name, directory)
    assert not copy.exists()


@pytest.mark.parametrize("name", sorted(MODULES))
def test_step_that_fails__leaves_the_database_as_it_was(
    directory: DataDir, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = MODULES[name]
    with monkeypatch.context() as patch:
        patch.setattr(module, "MIGRATIONS", (*module.MIGRATIONS, (ADDED, BROKEN)))
        with pytest.raises((StoreError, GalleryStorageError, SignerError)):
            _open(name, directory)
    assert "added_by_the_next_version" not in _tables(_path(name, directory))
    _open(name, directory)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_newer_database__is_refused_untouched_with_what_to_do(directory: DataDir, name: str) -> None:
    path = _path(name, directory)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.commit()
    connection.close()
    with pytest.raises(TOO_NEW[name], match=r"install (the newer software|that)"):
        _open(name, directory)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (99,)
    connection.close()


def test_disk_without_room_for_the_copy__changes_nothing(
    validator: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = node.store.database
    monkeypatch.setattr(module, "MIGRATIONS", (*module.MIGRATIONS, (ADDED,)))
    monkeypatch.setattr("node.store.migrating.ROOM_BYTES", 1 << 60)
    with pytest.raises(StoreFull, match="free some space"):
        _open("store", validator)
    assert "added_by_the_next_version" not in _tables(validator.store)


def test_copy_that_was_interrupted__is_removed_before_the_next_is_made(
    validator: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = node.store.database
    name = f".{copy_path(validator.store, len(module.MIGRATIONS)).name}"
    # No process has a number over 2^22, and who had ours before is gone too; another is at it now.
    gone = [
        validator.root / f"{name}.{end}" for end in (1 << 23, f"{1 << 23}-journal", f"{os.getpid()}-journal")
    ]
    stays = [validator.root / f"{name}.{os.getppid()}", validator.root / f"{name}.note"]
    for path in (*gone, *stays):
        path.write_bytes(b"half a database")
    monkeypatch.setattr(module, "MIGRATIONS", (*module.MIGRATIONS, (ADDED,)))
    _open("store", validator)
    assert not any(path.exists() for path in gone)
    assert all(path.exists() for path in stays)


def test_copies__are_one_at_a_time(validator: DataDir, monkeypatch: pytest.MonkeyPatch) -> None:
    module = node.store.database
    first = len(module.MIGRATIONS)
    for more in range(2):
        step = (f"CREATE TABLE extra_{more} (one INTEGER)",)
        monkeypatch.setattr(module, "MIGRATIONS", (*module.MIGRATIONS, step))
        _open("store", validator)
    assert not copy_path(validator.store, first).exists()
    assert "extra_0" in _tables(copy_path(validator.store, first + 1))
