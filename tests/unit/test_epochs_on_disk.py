"""What a node keeps of epochs: the chain in its store, its lock in a file; and who may connect."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.epochs.admission import GUESTS_MAX, Admission, is_member_of_late
from node.epochs.history import ReadEpochs, chain_to, keep_epoch, open_epochs
from node.epochs.lock_file import FILE_BYTES_MAX, FILE_NAME, read_lock, write_lock
from node.store import Store, StoreError
from protocol.codec import encode
from protocol.epochs.known import EPOCHS_KEPT, Epochs
from protocol.hashing import digest
from protocol.messages import AttestationRef, EpochCertificate
from protocol.rounds.effects import EpochLocked
from protocol.schedule import ShardRound, shard_round
from tests.support.certified_history import open_store
from tests.support.records import (
    ENCODERS,
    GENESIS,
    ROUNDS,
    VALIDATORS,
    Story,
    certificate,
    conviction,
    leaving,
    newcomer,
    registration,
)

EPOCHS = 3
NEW = newcomer(0)


def told(epochs: int = EPOCHS) -> Story:
    story = Story()
    for number in range(epochs):
        story.go_on(story.known([registration(newcomer(number), number)], skip=range(ROUNDS)))
    return story


def keep(store: Store, story: Story) -> None:
    for epoch in story.taken:
        keep_epoch(store, epoch, certificate(epoch))


def write(folder: Path, column: str, epoch: int, data: bytes) -> None:
    """Damage a row."""
    database = sqlite3.connect(folder / "store.sqlite")
    database.execute(f"UPDATE epochs SET {column} = ? WHERE epoch = ?", (data, epoch))
    database.commit()
    database.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path) as opened:
        yield opened


# -- history -----------------------------------------------------------------------------------------------


def test_fresh_store__holds_epoch_0_alone(store: Store) -> None:
    assert open_epochs(GENESIS, store).newest.digest == Epochs(GENESIS).newest.digest
    assert open_epochs(GENESIS, None).newest.number == 0
    assert chain_to(store, 0) == ([], b"", b"")


def test_reopened_store__holds_the_epochs_that_were_kept(tmp_path: Path) -> None:
    story = told(EPOCHS_KEPT + 2)
    with open_store(tmp_path) as first:
        keep(first, story)
    with open_store(tmp_path) as again:
        epochs = open_epochs(GENESIS, again)
        assert epochs.newest.digest == story.newest.digest
        for number in range(story.newest.number + 1):
            found = epochs.of(number)
            if number > 2:  # as far as the story remembers
                assert encode(found.table) == encode(story.epochs.of(number).table)
        assert len(epochs._late) == EPOCHS_KEPT
        assert epochs.find(story.newest.number + 1) is None


def test_chain_from_the_store__goes_back_to_genesis_without_a_gap(store: Store) -> None:
    story = told()
    keep(store, story)
    chain, encoders, _ = chain_to(store, 2)
    assert [one.record for one in chain] == [encode(story.epochs.of(number).record) for number in (1, 2)]
    assert encoders == encode(story.epochs.of(2).table)
    with pytest.raises(StoreError, match="let the node catch up"):
        chain_to(store, EPOCHS + 1)


def test_epoch_after_a_gap__is_not_kept(store: Store) -> None:
    story = told()
    epoch = story.epochs.of(2)
    row = EpochCertificate(ShardRound(1, 9, 0), 2, epoch.digest, (AttestationRef(VALIDATORS[0], bytes(64)),))
    with pytest.raises(StoreError, match="those between are missing"):
        keep_epoch(store, epoch, row)


@pytest.mark.parametrize("column", ["record", "encoders", "certificate"])
@pytest.mark.parametrize("damage", ["a byte changed", "cut", "empty"])
def test_damaged_row__is_an_error_that_says_what_to_do(tmp_path: Path, column: str, damage: str) -> None:
    with open_store(tmp_path) as first:
        keep(first, told())
    database = sqlite3.connect(tmp_path / "store.sqlite")
    (data,) = database.execute(f"SELECT {column} FROM epochs WHERE epoch = ?", (EPOCHS,)).fetchone()
    changed = {
        "a byte changed": data[:20] + bytes([data[20] ^ 1]) + data[21:],
        "cut": data[:-1],
        "empty": b"",
    }
    database.close()
    write(tmp_path, column, EPOCHS, changed[damage])
    if (column, damage) == ("encoders", "empty"):
        with open_store(tmp_path) as again:  # as if it had been dropped: it is caught up with again
            assert open_epochs(GENESIS, again).newest.number == EPOCHS - 1
        return
    with open_store(tmp_path) as again, pytest.raises(StoreError, match="move the store away and start"):
        open_epochs(GENESIS, again)


@pytest.mark.parametrize("number", range(1, EPOCHS + 1))
def test_damaged_votes_of_a_certificate__are_found_at_the_start(tmp_path: Path, number: int) -> None:
    # Its digest of the record is whole: reading the row shows nothing.
    told_ = told()
    for change, says in (
        ({"precommits": certificate(told_.epochs.of(number), *VALIDATORS[:2]).precommits}, "two thirds"),
        ({"at": ShardRound(0, 1, 0)}, "signature is not its validator's"),
        ({"epoch": number + 1}, "it is about epoch"),
    ):
        folder = tmp_path / says
        with open_store(folder) as store:
            keep(store, told_)
        damaged = msgspec.structs.replace(certificate(told_.epochs.of(number)), **change)
        write(folder, "certificate", number, encode(damaged))
        with open_store(folder) as again, pytest.raises(StoreError, match=f"epoch {number} .*{says}"):
            open_epochs(GENESIS, again)


def test_votes_of_old_certificates__are_left_to_who_pulls_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.epochs.history.CHECKED_AT_START", 2)
    story = told()
    for number, is_found in ((1, False), (2, True)):
        folder = tmp_path / f"{number}"
        with open_store(folder) as store:
            keep(store, story)
        forged = msgspec.structs.replace(certificate(story.epochs.of(number)), at=ShardRound(0, 1, 0))
        write(folder, "certificate", number, encode(forged))
        with open_store(folder) as again:
            if is_found:
                with pytest.raises(StoreError, match="is damaged"):
                    open_epochs(GENESIS, again)
            else:
                assert open_epochs(GENESIS, again).newest.digest == story.newest.digest


def test_store_another_process_writes__is_read_anew(store: Store) -> None:
    story = told()
    epochs = ReadEpochs(GENESIS, store)
    assert epochs.find(2) is None
    keep(store, story)
    found = epochs.find(2)
    assert found is not None
    assert found.digest == story.epochs.of(2).digest
    assert epochs.newest.digest == story.newest.digest
    assert epochs.find(EPOCHS + 1) is None


# -- the lock file -----------------------------------------------------------------------------------------

LOCK = EpochLocked(
    shard_round(GENESIS, 9, 0),
    2,
    digest("record"),
    tuple(AttestationRef(key, bytes(64)) for key in VALIDATORS[:3]),
    digest("inputs"),
    321,
)


def test_lock__is_read_as_it_was_written_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    assert read_lock(path, GENESIS.network_id) is None
    for lock in (LOCK, EpochLocked(ShardRound(0, 3, 0), 1, bytes(32), (), bytes(32), 0)):
        write_lock(path, GENESIS.network_id, lock)
        assert read_lock(path, GENESIS.network_id) == lock
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == [FILE_NAME]


def test_lock_cut_anywhere__is_refused(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    write_lock(path, GENESIS.network_id, LOCK)
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(StoreError, match="is damaged"):
            read_lock(path, GENESIS.network_id)
    path.write_bytes(data + b"\x00")
    with pytest.raises(StoreError, match="is damaged"):
        read_lock(path, GENESIS.network_id)
    path.write_bytes(bytes(FILE_BYTES_MAX + 1))
    with pytest.raises(StoreError, match="is damaged"):
        read_lock(path, GENESIS.network_id)


def test_lock_of_another_network__is_refused(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    write_lock(path, digest("another"), LOCK)
    with pytest.raises(StoreError, match="of another network: give the node a data directory of its own"):
        read_lock(path, GENESIS.network_id)


def test_lock_that_cannot_be_written_or_read__says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="may not vote on the next epoch"):
        write_lock(tmp_path / "missing" / FILE_NAME, GENESIS.network_id, LOCK)
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(StoreError, match="cannot read"):
        read_lock(tmp_path / FILE_NAME, GENESIS.network_id)


def test_largest_lock__fits_its_file(tmp_path: Path) -> None:
    votes = tuple(AttestationRef(digest(f"{number}"), bytes(64)) for number in range(4_096))
    lock = EpochLocked(LOCK.at, LOCK.epoch, LOCK.record, votes, LOCK.inputs, LOCK.inputs_bytes)
    write_lock(tmp_path / FILE_NAME, GENESIS.network_id, lock)
    assert read_lock(tmp_path / FILE_NAME, GENESIS.network_id) == lock


# -- admission ---------------------------------------------------------------------------------------------


def test_member_of_the_newest_epochs__is_admitted_and_later_a_guest() -> None:
    story = Story()
    story.go_on(story.known([registration(NEW, 0)]))
    assert is_member_of_late(story.epochs, NEW)
    story.go_on(story.known(exits=[leaving(NEW, 1)]))
    assert is_member_of_late(story.epochs, NEW)  # its rounds of the epoch before are not over
    story.go_on()
    assert not is_member_of_late(story.epochs, NEW)


def test_convicted__validators_stay_connected_and_encoders_do_not() -> None:
    # A validator without stake still serves what it holds; its statements count for nothing.
    story = Story()
    story.go_on(story.known(evidence=[conviction(ENCODERS[0], 0), conviction(VALIDATORS[0], 0)]))
    story.go_on()
    assert is_member_of_late(story.epochs, VALIDATORS[0])
    assert not is_member_of_late(story.epochs, ENCODERS[0])


@settings(max_examples=40)
@given(guests=st.integers(0, GUESTS_MAX + 3), members=st.integers(0, 10))
def test_guests__are_bounded_and_keep_no_member_out(guests: int, members: int) -> None:
    admission = Admission(Epochs(GENESIS))
    strangers = [digest(f"stranger {number}") for number in range(guests)]
    connected = [*strangers, *[*VALIDATORS, *ENCODERS][:members]]
    admission.connected = lambda: connected
    assert all(admission(key) for key in (*VALIDATORS, *ENCODERS))
    assert admission(digest("one more")) == (guests < GUESTS_MAX)


def test_guests_that_come_one_by_one__are_never_more_than_the_limit() -> None:
    admission = Admission(Epochs(GENESIS))
    connected: set[bytes] = set(VALIDATORS)
    admission.connected = lambda: connected
    for number in range(3 * GUESTS_MAX):
        key = digest(f"stranger {number}")
        if admission(key):
            connected.add(key)
    assert len(connected) == GUESTS_MAX + len(VALIDATORS)
