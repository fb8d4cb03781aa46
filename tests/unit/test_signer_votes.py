"""One vote a slot, in one process whose files nobody touches."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.signer import (
    VOTE_KINDS,
    VOTES_PER_ROUND_MAX,
    Boundary,
    EquivocationRefused,
    History,
    Signer,
    SignerCorrupted,
    SignerError,
    SignerLocked,
    TooEarly,
    TooManyVotes,
    VoteSlot,
    ledger,
)
from protocol.messages import Kind
from protocol.signatures import public_key, verify

SEED = bytes(range(32))
NETWORK_ID = b"n" * 32
ONE, OTHER = b"1" * 32, b"2" * 32
COMMIT = VoteSlot("commit", epoch=0, round=7, shard=1, wave=2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "signer.sqlite"


@pytest.fixture
def signer(path: Path) -> Iterator[Signer]:
    with Signer.open(path, SEED, NETWORK_ID, first_round=7) as opened:
        yield opened


def test_sign__signature_verifies_as_the_key(signer: Signer) -> None:
    assert signer.public_key == public_key(SEED)
    assert verify(signer.public_key, ONE, signer.sign(COMMIT, ONE))
    assert verify(signer.public_key, OTHER, signer.sign_free(OTHER))


def test_sign__same_digest_again_same_signature(signer: Signer) -> None:
    assert signer.sign(COMMIT, ONE) == signer.sign(COMMIT, ONE)


def test_sign__second_digest_refused_then_first_still_signed(signer: Signer) -> None:
    signature = signer.sign(COMMIT, ONE)
    with pytest.raises(EquivocationRefused, match="already signed"):
        signer.sign(COMMIT, OTHER)
    assert signer.sign(COMMIT, ONE) == signature


SLOTS = st.builds(
    VoteSlot,
    st.sampled_from(sorted(VOTE_KINDS)),
    epoch=st.integers(0, 1),
    round=st.integers(7, 9),
    shard=st.integers(0, 1),
    wave=st.integers(0, 1),
)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=st.lists(st.tuples(SLOTS, st.sampled_from([ONE, OTHER])), min_size=1, max_size=12))
def test_sign__first_digest_of_each_slot_wins(
    calls: list[tuple[VoteSlot, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("signer") / "signer.sqlite"
    first: dict[tuple[str, int, int, int], tuple[bytes, int]] = {}
    with Signer.open(path, SEED, NETWORK_ID, first_round=7) as signer:
        for slot, digest in calls:
            name = (slot.kind, slot.round, slot.shard, slot.wave)
            if first.setdefault(name, (digest, slot.epoch)) == (digest, slot.epoch):
                assert verify(signer.public_key, digest, signer.sign(slot, digest))
            else:
                with pytest.raises(EquivocationRefused):
                    signer.sign(slot, digest)


def test_sign__same_round_under_another_epoch_refused(signer: Signer) -> None:
    signer.sign(COMMIT, ONE)
    with pytest.raises(EquivocationRefused):
        signer.sign(VoteSlot("commit", epoch=1, round=7, shard=1, wave=2), ONE)


def test_sign__round_before_first_refused(signer: Signer) -> None:
    with pytest.raises(TooEarly) as caught:
        signer.sign(VoteSlot("report", 0, 6, 0), ONE)
    assert (caught.value.round, caught.value.first_round) == (6, 7)


def test_sign__recorded_vote_of_earlier_process_signed_again(path: Path) -> None:
    with Signer.open(path, SEED, NETWORK_ID, first_round=7) as first:
        signature = first.sign(COMMIT, ONE)
    with Signer.open(path, SEED, NETWORK_ID, first_round=8) as second:
        assert second.history is History.COMPLETE
        assert second.sign(COMMIT, ONE) == signature
        with pytest.raises(EquivocationRefused):
            second.sign(COMMIT, OTHER)
        with pytest.raises(TooEarly):
            second.sign(VoteSlot("commit", 0, 7, 2, 2), ONE)


def test_sign__before_genesis_first_round_is_zero(path: Path) -> None:
    with Signer.open(path, SEED, NETWORK_ID, first_round=-3) as signer:
        assert verify(signer.public_key, ONE, signer.sign(VoteSlot("challenge", 0, 0, 0), ONE))


def test_sign__wrong_digest_length_refused_and_no_vote_cast(signer: Signer) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        signer.sign(COMMIT, b"short")
    assert signer.sign(COMMIT, ONE)


@pytest.mark.parametrize("kind", ["certificate", "dispute", "evidence", "unheard-of"])
def test_slot__kind_without_slot_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="no slot"):
        VoteSlot(kind, 0, 0, 0)


def test_slot__number_out_of_range_refused() -> None:
    with pytest.raises(ValueError, match="round of a slot"):
        VoteSlot("commit", 0, 1 << 63, 0)


def test_slot__kind_and_its_text_are_one_slot() -> None:
    assert VoteSlot(Kind.COMMIT, 0, 7, 1, 2) == COMMIT
    assert str(VoteSlot(Kind.COMMIT, 0, 7, 1, 2)) == "commit of round 7 shard 1 wave 2"


def test_sign__vote_and_watermark_synced_before_signature_leaves(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trail: list[str] = []
    real_fsync = os.fsync

    def fsync(descriptor: int) -> None:
        trail.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        real_fsync(descriptor)

    def votes_on_disk() -> int:
        with sqlite3.connect(path) as other:
            found = other.execute("SELECT count(*) FROM votes").fetchone()[0]
        other.close()
        return int(found)

    def at_boundary(boundary: Boundary) -> None:
        trail.append(boundary.value)
        if boundary is Boundary.VOTE_COMMITTED:
            assert votes_on_disk() == 1

    with Signer.open(path, SEED, NETWORK_ID, first_round=7, at_boundary=at_boundary) as signer:
        # SQLite's own syncs: EXTRA (3) syncs journal, database and folder at each commit.
        assert signer._ledger._connection.execute("PRAGMA synchronous").fetchone()[0] == 3
        assert signer._ledger._connection.execute("PRAGMA journal_mode").fetchone()[0] == "delete"
        monkeypatch.setattr(os, "fsync", fsync)
        trail.clear()
        signer.sign(COMMIT, ONE)
    assert trail == [
        "requested",
        "vote_recorded",
        "vote_committed",
        "file",
        "watermark_staged",
        "folder",
        "watermark_written",
        "signed",
    ]


def test_open__files_closed_to_other_users(signer: Signer, path: Path) -> None:
    signer.sign(COMMIT, ONE)
    names = {found.name: stat.S_IMODE(found.stat().st_mode) for found in path.parent.iterdir()}
    assert names == {
        "signer.sqlite": 0o600,
        "signer.sqlite.lock": 0o600,
        "signer.sqlite.watermark": 0o600,
    }


@pytest.mark.parametrize("suffix", ["", ".watermark"])
def test_open__file_open_to_others_refused_with_remedy(path: Path, suffix: str) -> None:
    Signer.open(path, SEED, NETWORK_ID, first_round=7).close()
    exposed = path.with_name(path.name + suffix)
    exposed.chmod(0o640)
    with pytest.raises(SignerError, match="chmod 600"):
        Signer.open(path, SEED, NETWORK_ID, first_round=8)
    exposed.chmod(0o600)
    Signer.open(path, SEED, NETWORK_ID, first_round=8).close()


def test_open__second_signer_locked_out_until_first_closes(signer: Signer, path: Path) -> None:
    with pytest.raises(SignerLocked, match="stop it first"):
        Signer.open(path, SEED, NETWORK_ID, first_round=8)
    signer.close()
    signer.close()
    Signer.open(path, SEED, NETWORK_ID, first_round=8).close()


def test_open__database_swapped_under_lock_still_locked(signer: Signer, path: Path) -> None:
    path.unlink()
    with pytest.raises(SignerLocked):
        Signer.open(path, SEED, NETWORK_ID, first_round=8)


@pytest.mark.parametrize(("seed", "network_id"), [(b"x" * 32, NETWORK_ID), (SEED, b"x" * 32)])
def test_open__other_key_or_network_refused(path: Path, seed: bytes, network_id: bytes) -> None:
    Signer.open(path, SEED, NETWORK_ID, first_round=7).close()
    with pytest.raises(SignerCorrupted, match="another key or network"):
        Signer.open(path, seed, network_id, first_round=8)
    path.unlink()
    with pytest.raises(SignerCorrupted, match=r"watermark belongs to another key or network"):
        Signer.open(path, seed, network_id, first_round=8)


def test_open__not_a_database_refused(path: Path) -> None:
    path.write_bytes(b"certainly no database" * 400)
    path.chmod(0o600)
    with pytest.raises(SignerCorrupted, match="damaged"):
        Signer.open(path, SEED, NETWORK_ID, first_round=7)


def test_open__database_of_another_program_refused(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE something (else_ TEXT)")
    other.close()
    path.chmod(0o600)
    with pytest.raises(SignerCorrupted, match="not a signer's database"):
        Signer.open(path, SEED, NETWORK_ID, first_round=7)


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{}", b"{\xff", b'{"checksum": 1}', b"9" * 9_000],
    ids=["empty", "list", "no-fields", "no-text", "one-field", "oversize"],
)
def test_open__damaged_watermark_refused(path: Path, text: bytes) -> None:
    Signer.open(path, SEED, NETWORK_ID, first_round=7).close()
    path.with_name("signer.sqlite.watermark").write_bytes(text)
    with pytest.raises(SignerCorrupted, match="is damaged"):
        Signer.open(path, SEED, NETWORK_ID, first_round=8)


def test_open__watermark_with_a_number_changed_refused(path: Path) -> None:
    Signer.open(path, SEED, NETWORK_ID, first_round=7).close()
    watermark = path.with_name("signer.sqlite.watermark")
    watermark.write_bytes(watermark.read_bytes().replace(b'"closed_round": 6', b'"closed_round": 5'))
    with pytest.raises(SignerCorrupted, match="is damaged"):
        Signer.open(path, SEED, NETWORK_ID, first_round=8)


def test_open__folder_that_is_a_file_refused(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    with pytest.raises(SignerError, match="check the disk"):
        Signer.open(tmp_path / "plain" / "signer.sqlite", SEED, NETWORK_ID, first_round=7)


def test_sign__full_disk_gives_no_signature_and_reopening_heals(path: Path) -> None:
    signed: list[tuple[int, bytes]] = []

    def sign_until_full(signer: Signer) -> None:
        for shard in range(1_000):
            signed.append((shard, signer.sign(VoteSlot("commit", 0, 7, shard, 1), ONE)))

    with Signer.open(path, SEED, NETWORK_ID, first_round=7) as signer:
        connection = signer._ledger._connection
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(SignerError, match="full"):
            sign_until_full(signer)
        with pytest.raises(SignerError, match="start the node again"):
            signer.sign(VoteSlot("commit", 0, 8, 0, 1), ONE)
    with Signer.open(path, SEED, NETWORK_ID, first_round=8) as signer:
        assert signed
        assert all(signer.sign(VoteSlot("commit", 0, 7, n, 1), ONE) == found for n, found in signed[-3:])
        with pytest.raises(TooEarly):
            signer.sign(VoteSlot("commit", 0, 7, len(signed), 1), ONE)


def test_sign__watermark_cannot_be_written_no_signature(
    signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(SignerError, match="No space left"):
        signer.sign(COMMIT, ONE)
    monkeypatch.undo()
    with pytest.raises(SignerError, match="failed to write"):
        signer.sign(COMMIT, ONE)


def test_sign__closed_signer_refuses(signer: Signer) -> None:
    signer.close()
    with pytest.raises(SignerError, match="closed"):
        signer.sign(COMMIT, ONE)


def test_sign__many_threads_one_digest_wins(signer: Signer) -> None:
    won: list[int] = []
    lost: list[int] = []

    def attempt(number: int) -> None:
        try:
            signer.sign(COMMIT, bytes([number]) * 32)
        except EquivocationRefused:
            lost.append(number)
        else:
            won.append(number)

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 7)


def _sign_in_fork(signer: Signer, answers: Any) -> None:
    try:
        signer.sign(COMMIT, OTHER)
    except SignerLocked as error:
        answers.put(str(error))
    else:
        answers.put("signed")


def test_sign__forked_copy_refused(signer: Signer) -> None:
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=_sign_in_fork, args=(signer, answers))
    child.start()
    answer = answers.get()
    child.join()
    assert "copy (fork)" in answer
    assert signer.sign(COMMIT, ONE)


def test_ledger__old_rounds_dropped_and_refused_for_good(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "ROUNDS_KEPT", 3)
    with Signer.open(path, SEED, NETWORK_ID, first_round=0) as signer:
        for round_ in range(6):
            signer.sign(VoteSlot("commit", 0, round_, 0, 1), ONE)
        kept = signer._ledger._connection.execute("SELECT round FROM votes ORDER BY round").fetchall()
        assert kept == [(3,), (4,), (5,)]
        with pytest.raises(TooEarly) as caught:
            signer.sign(VoteSlot("commit", 0, 2, 0, 1), OTHER)
        assert caught.value.first_round == 3


def test_ledger__votes_of_a_round_bounded(signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert VOTES_PER_ROUND_MAX == 4_096
    monkeypatch.setattr(ledger, "VOTES_PER_ROUND_MAX", 2)
    for shard in range(2):
        signer.sign(VoteSlot("commit", 0, 7, shard, 1), ONE)
    with pytest.raises(TooManyVotes, match="next round"):
        signer.sign(VoteSlot("commit", 0, 7, 2, 1), ONE)
    assert signer.sign(VoteSlot("commit", 0, 8, 2, 1), ONE)
