"""Submitting text: all of it is queued once, and what cannot be is said in one sentence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from node.cli.errors import ExitCode
from node.cli.output import now_ms
from node.cli.submit import submitted_items
from node.corpus_text import WORDS_MAX
from node.keys import create_key
from node.membership import chain_path
from node.status import NodeStatus, write_status
from node.store import Access, ItemState, Store, StoreLimits
from protocol.items import canonical_text, item_id
from tests.support.cli import deltamesh, directory_of, home_with_round, process, short_texts


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home of a prepared validator."""
    directory = directory_of(tmp_path / "home")
    create_key(directory.key)
    chain_path(directory).touch(mode=0o600)
    return tmp_path / "home"


def pending(home: Path) -> list[bytes]:
    directory = directory_of(home)
    if not directory.store.exists():
        return []
    with Store.open(directory.store, directory.blobs, access=Access.READ_ONLY) as store:
        return [item.item_id for item in store.pending(100_000)]


def test_submitted_file__is_queued_once_and_its_ids_are_told(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text(short_texts(5))
    first = deltamesh("submit", file, "--home", home, "--json")
    assert first.code == 0, first.err
    assert "become public" in first.err
    assert sorted(first.json) == sorted(name.hex() for name in pending(home))
    assert len(first.json) == 5
    assert deltamesh("submit", file, "--home", home, "--json").json == first.json
    assert "0 new items, 5 known before" in deltamesh("submit", file, "--home", home).out
    assert len(pending(home)) == 5


def test_standard_input__is_read_and_canonical(home: Path) -> None:
    ended = deltamesh("submit", "-", "--home", home, "--json", stdin="  two\u00a0 words\x07 \n")
    assert ended.json == [item_id(canonical_text("two words")).hex()]


def test_long_text__is_chunked_without_losing_a_word(tmp_path: Path) -> None:
    words = [f"word{n}" for n in range(1_000)]
    file = tmp_path / "long.txt"
    file.write_text(" ".join(words))
    items = submitted_items(str(file))
    assert " ".join(item.decode() for item in items).split() == words
    assert max(len(item.split()) for item in items) <= WORDS_MAX


@pytest.mark.parametrize("running", [True, False])
def test_user__is_told_when_the_items_are_dealt(home: Path, running: bool) -> None:
    if running:
        status = NodeStatus("validator", "", "", os.getpid(), "", 0, now_ms())
        write_status(directory_of(home).root / "status.json", status)
    ended = deltamesh("submit", "-", "--home", home, stdin="some words")
    assert ("The running validator takes them" in ended.err) is running
    assert ("not running: they wait" in ended.err) is not running


def test_encoders_directory__is_refused(tmp_path: Path) -> None:
    directory = directory_of(tmp_path)
    create_key(directory.key)
    ended = deltamesh("submit", "-", "--home", tmp_path, stdin="some words")
    assert ended.code == ExitCode.NODE_STATE
    assert "only validators deal items" in ended.error
    assert not directory.store.exists()


def test_stranger_to_its_network__is_refused(tmp_path: Path) -> None:
    home_with_round(tmp_path)
    create_key(directory_of(tmp_path).key)
    ended = deltamesh("submit", "-", "--home", tmp_path, stdin="some words")
    assert (ended.code, "not a validator of its network" in ended.error) == (ExitCode.NODE_STATE, True)


def test_home_without_a_node__is_not_created(tmp_path: Path) -> None:
    ended = deltamesh("submit", "-", "--home", tmp_path / "none", stdin="some words")
    assert (ended.code, "deltamesh init" in ended.error) == (ExitCode.NODE_STATE, True)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.txt", b"", "holds no text"),
        ("blank.md", b" \n\t\n ", "holds no text"),
        ("binary.txt", b"\xff\xfe\x00", "is not UTF-8"),
        ("data.bin", b"words", "not a kind of text"),
        ("lines.jsonl", b'{"text": "fine"}\n{"txt": 1}\n', "line 2, has no text"),
        ("table.parquet", b"PAR1", "Parquet"),
    ],
)
def test_unfit_file__is_one_sentence_and_queues_nothing(
    home: Path, tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(content)
    ended = deltamesh("submit", tmp_path / name, "--home", home)
    assert ended.code == ExitCode.BAD_INPUT
    assert reason in ended.error
    assert pending(home) == []


@pytest.mark.parametrize(
    ("stdin", "reason"), [(b" \n", "holds no text"), (b"\x07", "holds no text"), (b"a\xff", "is not UTF-8")]
)
def test_unfit_standard_input__is_one_sentence(home: Path, stdin: bytes, reason: str) -> None:
    ended = deltamesh("submit", "-", "--home", home, stdin=stdin)
    assert (ended.code, reason in ended.error) == (ExitCode.BAD_INPUT, True)


def test_missing_and_empty_sources__are_one_sentence(home: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for source, reason in [(tmp_path / "none.txt", "does not exist"), (tmp_path / "folder", "no text files")]:
        ended = deltamesh("submit", source, "--home", home)
        assert (ended.code, reason in ended.error) == (ExitCode.BAD_INPUT, True)


def test_unreadable_folder__is_one_sentence(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "secret"
    folder.mkdir()
    listed = os.scandir

    def scandir(path: str) -> object:
        if str(path) == str(folder):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    # Tests may run as root, whom no mode keeps out.
    monkeypatch.setattr(os, "scandir", scandir)
    ended = deltamesh("submit", folder, "--home", home)
    assert ended.code == ExitCode.BAD_INPUT
    assert f"{folder} cannot be listed (Permission denied)" in ended.error


def test_full_queue__keeps_what_fits_and_says_how_much(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "text.txt"
    file.write_text(short_texts(5))
    monkeypatch.setattr("node.store.StoreLimits", lambda: StoreLimits(pending_items_max=3))
    ended = deltamesh("submit", file, "--home", home)
    assert ended.code == ExitCode.STORAGE
    assert ended.error.startswith("3 of 5 items were queued")
    assert len(pending(home)) == 3


def test_full_disk__is_one_sentence_and_loses_nothing(home: Path, tmp_path: Path) -> None:
    kept = deltamesh("submit", "-", "--home", home, "--json", stdin="kept words").json
    file = tmp_path / "text.txt"
    file.write_text(short_texts(2_000))
    # Bytecode cut short by the limit would break every later process.
    limit = "import resource, sys; sys.dont_write_bytecode = True; "
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))"
    ended = process("submit", file, "--home", home, before=limit)
    assert ended.code == ExitCode.STORAGE
    assert "free some space" in ended.error or "check the disk" in ended.error
    assert kept[0] in {name.hex() for name in pending(home)}
    again = deltamesh("submit", file, "--home", home)
    assert again.code == 0, again.err
    assert len(pending(home)) == 2_001


def test_items_beside_a_running_node__reach_its_queue(home: Path) -> None:
    directory = directory_of(home)
    with directory.lock(), Store.open(directory.store, directory.blobs) as node:
        half_written = directory.blobs / "00" / ("00" * 32 + ".partial")
        half_written.parent.mkdir()
        half_written.touch()
        assert deltamesh("submit", "-", "--home", home, stdin="some words").code == 0
        assert node.item_counts()[ItemState.PENDING] == 1
        assert half_written.exists(), "a blob the node is just writing"
