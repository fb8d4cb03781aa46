"""An export that is killed, wherever it is, goes on where it stopped and ends as if nothing had happened."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.datadir import DataDir
from config.genesis import save_genesis
from node.cli.embedding_spool import VECTOR_BYTES, EmbeddingSpool
from node.store import Store
from tests.support.certified_history import ITEMS, certified_history, record
from tests.support.cli import deltamesh, process
from tests.support.searchable import give_vectors

KILLED = -9
ROUNDS = len(certified_history().facts)
AFTER_ROUNDS = """
import os
from node.cli import embedding_spool
whole = embedding_spool.EmbeddingSpool.append_round
def append_round(self, round_, rows):
    if round_ == {round}:
        {then}
    return whole(self, round_, rows)
embedding_spool.EmbeddingSpool.append_round = append_round
"""
KILL = "os.kill(os.getpid(), 9)"
HALF_A_ROUND = """
        def some(rows=rows):
            for place, row in enumerate(rows):
                if place == 5:
                    os.kill(os.getpid(), 9)
                yield row
        rows = some()
"""
WHILE_WRITING = """
import os
from node.cli import embedding_files
def writer(path, *_):
    path.write_bytes(b"half a file")
    os.kill(os.getpid(), 9)
embedding_files.WRITERS["{suffix}"] = writer
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A validator with several certified rounds."""
    root, history = tmp_path_factory.mktemp("home"), certified_history()
    directory = DataDir.open(root, "localnet")
    save_genesis(directory.genesis, history.genesis)
    with Store.open(directory.store, directory.blobs) as store:
        for fact in history.facts:
            record(store, history, fact)
        give_vectors(store, history)
    return root


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "before", "rounds_kept"),
    [
        (".parquet", AFTER_ROUNDS.format(round=0, then=KILL), 0),
        (".parquet", AFTER_ROUNDS.format(round=3, then=KILL), 3),
        (".safetensors", AFTER_ROUNDS.format(round=3, then=HALF_A_ROUND), 3),
        (".parquet", WHILE_WRITING.format(suffix=".parquet"), ROUNDS),
        (".safetensors", WHILE_WRITING.format(suffix=".safetensors"), ROUNDS),
    ],
    ids=["at the start", "between rounds", "half a round", "while writing", "while writing tensors"],
)
def test_killed_export__goes_on_and_ends_as_if_it_had_not_been(
    home: Path, tmp_path: Path, suffix: str, before: str, rounds_kept: int
) -> None:
    export = ("embeddings", "export", "--space", "raw", "--home", home)
    whole, path = tmp_path / f"whole{suffix}", tmp_path / f"killed{suffix}"
    assert deltamesh(*export, "--to", whole).code == 0
    assert process(*export, "--to", path, before=before).code == KILLED
    assert not path.exists()
    folder = tmp_path / f".{path.name}.partial"
    assert (folder / "vectors.f32").stat().st_size >= rounds_kept * ITEMS * VECTOR_BYTES
    again = deltamesh(*export, "--to", path)
    assert again.code == 0, again.err
    assert (f"Going on after {rounds_kept * ITEMS} embeddings" in again.err) == (rounds_kept > 0)
    assert path.read_bytes() == whole.read_bytes()
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted([path.name, whole.name])


def test_spool__is_where_the_test_looks(tmp_path: Path) -> None:
    spool = EmbeddingSpool(tmp_path / "a.parquet", {})
    assert spool.vectors_file == tmp_path / ".a.parquet.partial/vectors.f32"
