"""Every kind of source becomes items; every kind of bad source becomes one clear sentence."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import node.corpus
from node.corpus import CHALLENGE_WORDS_MIN, CorpusError, load_challenge_pool, load_corpus
from node.corpus_text import WORDS_MAX


def test_load_corpus__reads_what_the_installed_libraries_document() -> None:
    items = load_corpus(None)
    assert len(items) > 10_000
    assert len(set(items)) == len(items)
    assert items == load_corpus(None)


def test_load_challenge_pool__has_enough_prose_to_challenge_with() -> None:
    pool = load_challenge_pool(None)
    assert len(pool) > 5_000
    assert len(set(pool)) == len(pool)
    assert all(CHALLENGE_WORDS_MIN <= len(item.split()) <= WORDS_MAX for item in pool)


def test_load_challenge_pool__uses_a_repeated_paragraph_once(tmp_path: Path) -> None:
    shared = (
        "This very paragraph stands in two files, and it must be used for one item only, whatever follows."
    )
    for name in ("a", "b"):
        own = (
            f"File {name} goes on with words of its own, enough of them that they make an item by themselves."
        )
        (tmp_path / f"{name}.txt").write_text(f"{shared}\n\n{own}")
    assert sum("two files" in item for item in load_challenge_pool(tmp_path)) == 1


def test_load_corpus__reads_each_format_alike(tmp_path: Path) -> None:
    texts = ["First text.", "Second   text,\nwith e\u0301."]
    plain, lines, table = tmp_path / "a.txt", tmp_path / "b.jsonl", tmp_path / "c.parquet"
    plain.write_text("\ufeff" + "\n\n".join(texts), encoding="utf-8")
    lines.write_text("\n\n".join(json.dumps({"text": text, "n": 1}) for text in texts))
    pq.write_table(pa.table({"n": [1, 2, 3], "text": [texts[0], None, texts[1]]}), table)
    assert load_corpus(plain, words_max=5) == ["First text.", "Second text, with \u00e9."]
    assert load_corpus(lines) == load_corpus(table) == ["First text.", "Second text, with \u00e9."]


def test_load_corpus__reads_a_folder_recursively_in_sorted_order_without_repeats(tmp_path: Path) -> None:
    (tmp_path / "z").mkdir()
    for name, text in (("b.md", "two"), ("a.txt", "one"), ("z/c.rst", "three"), ("z/d.txt", "one")):
        (tmp_path / name).write_text(text)
    (tmp_path / "picture.png").write_bytes(b"\xff")
    assert load_corpus(tmp_path) == ["one", "two", "three"]


def _bad_sources(folder: Path) -> Iterator[tuple[Path, str]]:
    def made(name: str, data: bytes) -> Path:
        path = folder / name
        path.write_bytes(data)
        return path

    wrong_column, numbers = folder / "column.parquet", folder / "numbers.parquet"
    pq.write_table(pa.table({"body": ["x"]}), wrong_column)
    pq.write_table(pa.table({"text": [1]}), numbers)
    (folder / "empty").mkdir()
    yield folder / "missing.txt", "does not exist"
    yield folder / "empty", "no text files"
    yield made("blank.txt", b" \n\t\0 "), "no text"
    yield made("nothing.jsonl", b""), "no text"
    yield made("latin.txt", b"caf\xe9"), "not UTF-8"
    yield made("photo.png", b"x"), "not a kind of text"
    yield made("broken.jsonl", b'{"text": "a"}\n{"text'), "line 2, is not JSON"
    yield made("field.jsonl", b'{"body": "a"}'), "has no text"
    yield made("list.jsonl", b"[1]"), "has no text"
    yield made("number.jsonl", b'{"text": 1}'), "has no text"
    yield made("half.jsonl", b'{"text": "\\ud800"}'), "broken Unicode"
    yield made("broken.parquet", b"PAR1"), "not a sound Parquet"
    yield wrong_column, "has no column `text` .it has: body"
    yield numbers, "holds int64"


def test_load_corpus__says_what_is_wrong_in_one_sentence(tmp_path: Path) -> None:
    for path, reason in _bad_sources(tmp_path):
        with pytest.raises(CorpusError, match=reason) as caught:
            load_corpus(path)
        message = str(caught.value)
        assert path.name in message
        assert "\n" not in message
        assert message.endswith(".")


def test_load_challenge_pool__refuses_a_source_without_prose(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("too short")
    with pytest.raises(CorpusError, match="add longer texts"):
        load_challenge_pool(tmp_path)


def test_load_corpus__refuses_a_source_above_the_size_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node.corpus, "SOURCE_BYTES_MAX", 10)
    (tmp_path / "a.txt").write_text("eleven bytes")
    with pytest.raises(CorpusError, match="holds more than"):
        load_corpus(tmp_path)


def test_load_corpus__names_a_folder_it_may_not_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Not by permissions: whoever runs the tests may be root, whom they do not stop.
    def refuse(path: object) -> Iterator[os.DirEntry[str]]:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(CorpusError, match="cannot be listed"):
        load_corpus(tmp_path)


def test_load_corpus__names_a_file_it_may_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "a.txt").write_text("text")
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(CorpusError, match=r"a\.txt cannot be read \(Permission denied\)"):
        load_corpus(tmp_path)
