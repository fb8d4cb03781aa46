"""The database as a file: opening, migrating, refusing, and writing all or nothing."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from node.store import (
    Access,
    EmbeddingRecord,
    Put,
    RoundRecord,
    RoundState,
    StatementRecord,
    Store,
    StoreBusy,
    StoreCorrupted,
    StoreError,
    StoreFull,
    StoreLimits,
    StoreReadOnly,
    StoreTooNew,
    database,
    schema,
)

ROUND = RoundRecord(epoch=0, round=1, shard=0, state=RoundState.OPEN, updated_ms=5)


def statement(number: int, round_: int = 1, kind: str = "commit", size_bytes: int = 8) -> StatementRecord:
    digest = number.to_bytes(32, "big")
    return StatementRecord(digest, 0, round_, 0, kind, b"s" * 32, bytes(size_bytes), received_ms=number)


def open_store(folder: Path, limits: StoreLimits | None = None, access: Access = Access.READ_WRITE) -> Store:
    return Store.open(folder / "store.sqlite", folder / "blobs", access=access, limits=limits)


def test_open__reopened_store_remembers(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        assert store.put_statement(statement(1)) is Put.NEW
        store.record_round(ROUND)
    with open_store(tmp_path) as store:
        assert store.statement(statement(1).digest) == statement(1)
        assert store.round(1, 0) == ROUND


def test_open__wal_foreign_keys_and_version_set(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "user_version", "application_id")
        values = {name: store._all(f"PRAGMA {name}")[0][0] for name in pragmas}
    assert values == {
        "journal_mode": "wal",
        "synchronous": 1,
        "foreign_keys": 1,
        "user_version": len(schema.MIGRATIONS),
        "application_id": schema.APPLICATION_ID,
    }


def test_open__older_schema_migrated_with_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_store(tmp_path) as store:
        store.record_round(ROUND)
    added = ("ALTER TABLE rounds ADD COLUMN colour TEXT", "UPDATE rounds SET colour = 'green'")
    monkeypatch.setattr(database, "MIGRATIONS", (*schema.MIGRATIONS, added))
    with open_store(tmp_path) as store:
        assert store._all("SELECT round, colour FROM rounds") == [(1, "green")]
        assert store._all("PRAGMA user_version") == [(len(schema.MIGRATIONS) + 1,)]


def test_open__failing_migration_leaves_the_older_schema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(tmp_path).close()
    broken = ("ALTER TABLE rounds ADD COLUMN colour TEXT", "UPDATE nowhere SET colour = 'green'")
    with monkeypatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", (*schema.MIGRATIONS, broken))
        with pytest.raises(StoreError, match="no such table"):
            open_store(tmp_path)
    with open_store(tmp_path) as store:
        columns = [row[1] for row in store._all("PRAGMA table_info(rounds)")]
        assert "colour" not in columns


def test_open__newer_schema_refused_untouched(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    with sqlite3.connect(tmp_path / "store.sqlite") as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(StoreTooNew, match="install the newer software"):
        open_store(tmp_path)


def test_open__database_of_another_program_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "store.sqlite") as other:
        other.execute("CREATE TABLE something (else_ TEXT)")
    other.close()
    with pytest.raises(StoreCorrupted, match="another program"):
        open_store(tmp_path)


def test_open__garbage_file_refused(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite").write_bytes(b"this is no database at all" * 1_000)
    with pytest.raises(StoreCorrupted, match="move it away"):
        open_store(tmp_path)


def test_read__damaged_page_reported_as_corruption(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        for number in range(600):
            store.put_statement(statement(number, size_bytes=500))
    path = tmp_path / "store.sqlite"
    data = bytearray(path.read_bytes())
    half = len(data) // 2  # the schema lies in the first pages, the rows behind
    data[half:] = bytes(len(data) - half)
    path.write_bytes(data)
    with open_store(tmp_path) as store, pytest.raises(StoreCorrupted, match="move it away"):
        store.statements(1)


def test_open__folder_that_is_a_file_refused(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    with pytest.raises(StoreError, match="check"):
        open_store(tmp_path / "plain")


def test_open__blobs_folder_that_is_a_file_refused_and_database_closed(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_bytes(b"")
    with pytest.raises(StoreError, match="blobs"):
        open_store(tmp_path)
    # A left-open connection would be reported as an unclosed resource, which fails the suite.
    assert not (tmp_path / "store.sqlite-wal").exists()


def test_write__full_disk_is_one_sentence_and_nothing_half_written(tmp_path: Path) -> None:
    limits = StoreLimits(database_bytes_max=400 << 10)
    batch = [
        EmbeddingRecord(number.to_bytes(32, "big"), 1, 0, number, 0, bytes(4_096)) for number in range(256)
    ]
    with open_store(tmp_path, limits) as store:
        store.record_round(ROUND)
        with pytest.raises(StoreFull, match="free some space"):
            store.record_embeddings(batch)
        assert store.embedding_count() == 0
        store.record_embeddings(batch[:8])
        assert store.embedding_count() == 8


def test_write__body_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def failing_half_way() -> None:
        with store._transaction() as connection:
            connection.execute("INSERT INTO peers VALUES (?, '[]', 0, 0, 0)", (b"p" * 32,))
            raise KeyError("half way")

    with open_store(tmp_path) as store:
        with pytest.raises(KeyError):
            failing_half_way()
        assert store.peers(10) == []
        store.record_peer(b"p" * 32, [], 1)


def test_write__locked_by_another_process_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 0)
    with open_store(tmp_path) as store:
        other = sqlite3.connect(tmp_path / "store.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy, match="another process"):
            store.put_statement(statement(1))
        other.execute("ROLLBACK")
        other.close()
        assert store.put_statement(statement(1)) is Put.NEW


def test_read_only__sees_what_a_running_writer_commits(tmp_path: Path) -> None:
    with open_store(tmp_path) as writer, open_store(tmp_path, access=Access.READ_ONLY) as reader:
        assert reader.statements(1) == []
        writer.put_statement(statement(1))
        assert reader.statements(1) == [statement(1)]
        with pytest.raises(StoreReadOnly, match="read-only"):
            reader.put_statement(statement(2))


def test_read_only__missing_database_not_created(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="check the path"):
        open_store(tmp_path / "nowhere", access=Access.READ_ONLY)
    assert not (tmp_path / "nowhere").exists()


def test_read_only__older_schema_refused_with_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(tmp_path).close()
    monkeypatch.setattr(database, "MIGRATIONS", (*schema.MIGRATIONS, ()))
    with pytest.raises(StoreError, match="start the node once"):
        open_store(tmp_path, access=Access.READ_ONLY)


def test_threads__all_writes_kept(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def write(first: int) -> None:
        try:
            for number in range(first, first + 25):
                store.put_statement(statement(number))
                store.statements(1)
        except BaseException as error:
            failures.append(error)

    with open_store(tmp_path) as store:
        threads = [threading.Thread(target=write, args=(first,)) for first in range(0, 100, 25)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        assert len(store.statements(1)) == 100


def test_close__twice_is_harmless_and_use_after_it_refused(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.statements(1)
