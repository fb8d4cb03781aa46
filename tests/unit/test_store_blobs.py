"""Blobs on disk, and how long they are kept."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.store import (
    Access,
    BlobStoreFull,
    DiskBlobs,
    Pruned,
    StatementRecord,
    Store,
    StoreFull,
    StoreReadOnly,
)
from protocol.hashing import content_digest
from protocol.rounds.effects import Purpose


@pytest.fixture
def blobs(tmp_path: Path) -> DiskBlobs:
    return DiskBlobs(tmp_path / "blobs", bytes_max=10_000)


def path_of(blobs: DiskBlobs, digest: bytes) -> Path:
    return blobs._directory / digest.hex()[:2] / digest.hex()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "forget", "damage", "prune", "reopen"]), st.binary(min_size=1, max_size=40)
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(steps=STEPS)
def test_any_steps__same_as_a_dictionary(steps: list[tuple[str, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        blobs = DiskBlobs(Path(folder), bytes_max=10_000)
        model: dict[bytes, bytes] = {}
        for step, data in steps:
            digest = content_digest(data)
            match step:
                case "put":
                    assert blobs.put(data) == digest
                    model[digest] = data
                case "forget":
                    blobs.forget(digest)
                    model.pop(digest, None)
                case "damage" if digest in model:
                    path_of(blobs, digest).write_bytes(bytes(b ^ 1 for b in data))
                    del model[digest]
                    assert blobs.get(digest) is None
                    assert not blobs.has(digest)
                case "prune":
                    keep = {known for known in model if known[0] % 2}
                    assert blobs.prune(keep) == len(model) - len(keep)
                    model = {known: model[known] for known in keep}
                case "reopen":
                    blobs = DiskBlobs(Path(folder), bytes_max=10_000)
            assert {known: blobs.get(known) for known in model} == model
            assert blobs.size_bytes == sum(map(len, model.values()))


def test_put__lies_under_the_first_byte_of_its_digest(blobs: DiskBlobs) -> None:
    digest = blobs.put(b"hello")
    assert digest.hex() == "ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f"
    assert path_of(blobs, digest).read_bytes() == b"hello"


def test_put__over_the_bound_refused_and_nothing_left(blobs: DiskBlobs) -> None:
    blobs.put(bytes(9_000))
    with pytest.raises(BlobStoreFull, match="keep fewer rounds"):
        blobs.put(b"1" * 1_001)
    assert blobs.size_bytes == 9_000
    assert blobs.put(b"1" * 1_000)


def test_put__again_repairs_a_damaged_blob(blobs: DiskBlobs) -> None:
    digest = blobs.put(b"hello")
    path_of(blobs, digest).write_bytes(b"jello there")
    assert blobs.put(b"hello") == digest
    assert blobs.get(digest) == b"hello"


def test_put__disk_full_leaves_nothing(blobs: DiskBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(StoreFull, match="free some space"):
            blobs.put(b"hello")
    assert blobs.size_bytes == 0
    assert [path for path in blobs._directory.rglob("*") if path.is_file()] == []


def test_put__synced_before_it_gets_its_name(blobs: DiskBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    present: list[bool] = []
    digest = content_digest(b"hello")
    real_fsync = os.fsync

    def fsync(descriptor: int) -> None:
        present.append(blobs.has(digest))
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    blobs.put(b"hello")
    assert present == [False, True]


def test_open__sweeps_what_a_crash_left_half_written(blobs: DiskBlobs) -> None:
    digest = blobs.put(b"hello")
    leftover = path_of(blobs, digest).with_name("ea" * 32 + ".partial")
    leftover.write_bytes(b"hal")
    reader = DiskBlobs(blobs._directory, 10_000, Access.READ_ONLY)
    assert leftover.exists()
    assert reader.get(digest) == b"hello"
    reopened = DiskBlobs(blobs._directory, 10_000)
    assert not leftover.exists()
    assert reopened.size_bytes == 5


def test_read_only__neither_writes_nor_removes(blobs: DiskBlobs) -> None:
    digest = blobs.put(b"hello")
    reader = DiskBlobs(blobs._directory, 10_000, Access.READ_ONLY)
    with pytest.raises(StoreReadOnly):
        reader.put(b"more")
    with pytest.raises(StoreReadOnly):
        reader.prune(set())
    path_of(blobs, digest).write_bytes(b"jello")
    assert reader.get(digest) is None
    assert path_of(blobs, digest).exists()


def test_get__digest_of_a_wrong_length_is_a_mistake(blobs: DiskBlobs) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        blobs.get(b"short")


def test_prune_rounds__keeps_reports_and_certificates_drops_the_rest(tmp_path: Path) -> None:
    def statement(kind: str, round_: int) -> StatementRecord:
        digest = content_digest(f"{kind} {round_}".encode())
        return StatementRecord(digest, 0, round_, 0, kind, b"s" * 32, b"e", received_ms=1)

    with Store.open(tmp_path / "store.sqlite", tmp_path / "blobs") as store:
        for round_ in (1, 2):
            for kind in ("commit", "reveal", "report", "certificate"):
                store.put_statement(statement(kind, round_))
        dropped = store.put_blob(b"reveal of round 1", 1, Purpose.REVEAL)
        report = store.put_blob(b"report of round 1", 1, Purpose.REPORT)
        recent = store.put_blob(b"reveal of round 2", 2, Purpose.REVEAL)
        shared = store.put_blob(b"views of both", 1, Purpose.VIEWS)
        store.use_blob(shared, 2, Purpose.VIEWS)
        orphan = store.blobs.put(b"left behind by a crash")

        assert store.prune_rounds(before_round=2) == Pruned(statements=2, blobs=2)

        assert {kept.kind for kept in store.statements(1)} == {"report", "certificate"}
        assert len(store.statements(2)) == 4
        assert store.kept_blobs() == {report, recent, shared}
        assert [store.blobs.has(digest) for digest in (dropped, report, recent, shared, orphan)] == [
            False,
            True,
            True,
            True,
            False,
        ]
        assert store.prune_rounds(before_round=2) == Pruned(statements=0, blobs=0)


def test_prune_rounds__looks_through_all_blobs_once_and_then_at_what_goes_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(tmp_path / "store.sqlite", tmp_path / "blobs") as store:
        store.prune_rounds(0)
        monkeypatch.setattr(store.blobs, "_paths", lambda: pytest.fail("went through every blob"))
        gone = [store.put_blob(b"reveal %d" % number, 1, Purpose.REVEAL) for number in range(1_200)]
        kept = store.put_blob(b"report of round 1", 1, Purpose.REPORT)
        shared = store.put_blob(b"views of both", 1, Purpose.VIEWS)
        store.use_blob(shared, 2, Purpose.VIEWS)
        learnt = store.put_blob(b"means", 1, Purpose.LEARNT)
        store.use_blob(content_digest(b"never came"), 1, Purpose.REVEAL)
        assert store.prune_rounds(2) == Pruned(statements=0, blobs=len(gone))
        assert not any(map(store.blobs.has, gone))
        assert [store.blobs.has(one) for one in (kept, shared, learnt)] == [True, True, True]
        assert store.prune_rounds(3, learnt_before_round=2) == Pruned(statements=0, blobs=2)
        assert [store.blobs.has(one) for one in (kept, shared, learnt)] == [True, False, False]
        assert store.blobs.size_bytes == len(b"report of round 1")
