"""Exports: reports that verify, embeddings that read back, and interrupted exports that go on."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
from safetensors import safe_open

from node.cli.embedding_spool import VECTOR_BYTES, EmbeddingRow, EmbeddingSpool
from node.cli.errors import ExitCode
from protocol.items import item_id
from tests.support.certified_round import certified_round
from tests.support.cli import deltamesh, home_with_round, process


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A node with one certified round. Nothing in it is changed by exporting."""
    folder = tmp_path_factory.mktemp("home")
    home_with_round(folder, rounds=2)
    return folder


@pytest.fixture(scope="module")
def report(home: Path) -> Path:
    """The round as a file."""
    path = home / "round.dmr"
    assert deltamesh("rounds", "export", 0, "--to", path, "--home", home).code == 0
    return path


def expected() -> tuple[list[str], list[str], npt.NDArray[np.float32]]:
    items = certified_round().task.batch.items
    vectors = np.frombuffer(certified_round().body.scores.consensus, "<f4").reshape(len(items), 1024)
    return [item_id(item).hex() for item in items], [item.decode() for item in items], vectors


def read(path: Path) -> tuple[list[str], list[str], npt.NDArray[np.float32], list[int]]:
    """Item ids, texts, vectors and rounds of an export, by the format's own library."""
    match path.suffix:
        case ".parquet":
            table = pq.read_table(path).to_pydict()
            return table["item_id"], table["text"], np.array(table["vector"], np.float32), table["round"]
        case ".npz":
            with np.load(path) as arrays:
                named = {name: arrays[name] for name in arrays.files}
            ids, texts = named["item_id"].tolist(), named["text"].tolist()
            return ids, texts, named["vectors"], named["round"].tolist()
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
        rounds = file.get_tensor("round").tolist()
        vectors = file.get_tensor("vectors")
    return json.loads(metadata["item_id"]), json.loads(metadata["text"]), vectors, rounds


@pytest.mark.parametrize("suffix", [".parquet", ".safetensors", ".npz"])
def test_exported_embeddings__are_those_that_were_certified(home: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    ended = deltamesh("embeddings", "export", "--to", path, "--home", home, "--space", "raw", "--json")
    assert ended.code == 0, ended.err
    ids, texts, vectors = expected()
    found_ids, found_texts, found_vectors, rounds = read(path)
    assert (found_ids, found_texts, rounds) == (ids, texts, [0] * len(ids))
    np.testing.assert_array_equal(found_vectors, vectors)
    size_bytes = path.stat().st_size
    assert ended.json == {"file": str(path), "embeddings": len(ids), "bytes": size_bytes, "space": "raw"}
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_published_embeddings__lie_in_the_newest_space_unless_another_is_named(
    home: Path, tmp_path: Path
) -> None:
    path = tmp_path / "out.parquet"
    ended = deltamesh("embeddings", "export", "--to", path, "--home", home)
    assert "in space epoch 0" in ended.out
    _, _, raw = expected()
    np.testing.assert_allclose(read(path)[2], raw / np.linalg.norm(raw, axis=1, keepdims=True), atol=1e-6)
    metadata = pq.read_schema(path).metadata
    assert metadata[b"space"] == b"deltamesh consensus, epoch 0"
    ended = deltamesh("embeddings", "export", "--to", tmp_path / "b.npz", "--home", home, "--space", "3")
    assert ended.code == ExitCode.BAD_INPUT
    assert "the record of epoch 3 is not here" in ended.error


def test_existing_file__is_replaced_only_when_asked(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.npz"
    path.write_text("precious")
    ended = deltamesh("embeddings", "export", "--to", path, "--home", home)
    assert (ended.code, "--overwrite" in ended.error) == (ExitCode.BAD_INPUT, True)
    assert path.read_text() == "precious"
    assert deltamesh("embeddings", "export", "--to", path, "--overwrite", "--home", home).code == 0
    assert read(path)[0] == expected()[0]


def test_unknown_format__is_wrong_usage(home: Path, tmp_path: Path) -> None:
    ended = deltamesh("embeddings", "export", "--to", tmp_path / "out.csv", "--home", home)
    assert (ended.code, ".parquet, .safetensors, .npz" in ended.error) == (ExitCode.USAGE, True)


def test_full_disk__keeps_what_was_read_and_the_next_run_ends_it(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.parquet"
    path.write_text("precious")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setitem(__import__("node.cli.embedding_files", fromlist=["x"]).WRITERS, ".parquet", full)
        ended = deltamesh("embeddings", "export", "--to", path, "--overwrite", "--home", home)
    assert ended.code == ExitCode.STORAGE
    assert "the disk is full" in ended.error
    assert path.read_text() == "precious"
    again = deltamesh("embeddings", "export", "--to", path, "--overwrite", "--home", home)
    assert again.code == 0
    assert "Going on after 64 embeddings" in again.err
    assert read(path)[0] == expected()[0]
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_file_size_limit__is_one_sentence_and_leaves_no_file(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.safetensors"
    # Bytecode cut short by the limit would break every later process.
    limit = "import resource, sys; sys.dont_write_bytecode = True; "
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))"
    ended = process("embeddings", "export", "--to", path, "--home", home, before=limit)
    assert ended.code == ExitCode.STORAGE
    assert "the same command goes on" in ended.error
    assert not path.exists()
    assert deltamesh("embeddings", "export", "--to", path, "--home", home).code == 0
    assert read(path)[0] == expected()[0]


def rows_of(round_: int, count: int) -> list[tuple[EmbeddingRow, bytes]]:
    return [
        (EmbeddingRow(f"{round_}-{n}", "text", round_, 0, n, 0), bytes([round_ + 1]) * VECTOR_BYTES)
        for n in range(count)
    ]


def test_spool_cut_anywhere__goes_on_after_its_last_whole_round(tmp_path: Path) -> None:
    destination, selection = tmp_path / "out.npz", {"from_round": 0}
    spool = EmbeddingSpool(destination, selection)
    for round_, count in [(0, 2), (3, 1), (4, 3)]:
        spool.append_round(round_, rows_of(round_, count))
    facts, vectors = spool.rows_file.read_bytes(), spool.vectors_file.read_bytes()
    for cut in range(0, len(facts) + 1, 7):
        spool.rows_file.write_bytes(facts[:cut])
        spool.vectors_file.write_bytes(vectors)
        resumed = EmbeddingSpool(destination, selection)
        assert (resumed.next_round, resumed.count) in [(0, 0), (1, 2), (4, 3), (5, 6)]
        for round_, count in [(0, 2), (3, 1), (4, 3)]:
            if round_ >= resumed.next_round:
                resumed.append_round(round_, rows_of(round_, count))
        assert spool.rows_file.read_bytes() == facts
        assert spool.vectors_file.read_bytes() == vectors
    spool.rows_file.write_bytes(facts)
    spool.vectors_file.write_bytes(vectors[: 3 * VECTOR_BYTES])
    assert EmbeddingSpool(destination, selection).next_round == 4


def test_round_that_failed_half_way__is_not_counted(tmp_path: Path) -> None:
    destination = tmp_path / "out.npz"
    spool = EmbeddingSpool(destination, {})
    spool.append_round(0, rows_of(0, 2))

    def broken() -> Iterator[tuple[EmbeddingRow, bytes]]:
        yield rows_of(1, 1)[0]
        raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match="full"):
        spool.append_round(1, broken())
    resumed = EmbeddingSpool(destination, {})
    assert (resumed.next_round, resumed.count) == (1, 2)
    assert [row.item_id for row in resumed.rows()] == ["0-0", "0-1"]
    assert sum(len(part) for part in resumed.vectors(1)) == 2 * VECTOR_BYTES


def test_other_selection__begins_anew(tmp_path: Path) -> None:
    spool = EmbeddingSpool(tmp_path / "out.npz", {"from_round": 0})
    spool.append_round(0, rows_of(0, 2))
    assert EmbeddingSpool(tmp_path / "out.npz", {"from_round": 1}).count == 0


def test_exported_report__is_accepted_from_id_genesis_and_own_network(report: Path, home: Path) -> None:
    network_id = certified_round().genesis.network_id.hex()
    genesis = home / "localnet/genesis.json"
    for trust in (["--network-id", network_id], ["--genesis", genesis], ["--home", home]):
        ended = deltamesh("verify", report, *trust)
        assert ended.code == 0, ended.err
        assert ended.out.count("✓") == 9
        assert "Accepted: round 0" in ended.out
        assert "1 signature\n" in ended.out
    document = deltamesh("verify", report, "--network-id", network_id, "--json").json
    assert (document["accepted"], document["round"], len(document["checks"])) == (True, 0, 9)


def test_report_of_another_network__is_refused(report: Path) -> None:
    ended = deltamesh("verify", report, "--network-id", "00" * 32)
    assert (ended.code, "✗ network" in ended.out) == (ExitCode.REFUSED, True)
    assert "is refused" in ended.error
    document = deltamesh("verify", report, "--network-id", "00" * 32, "--json").json
    assert (document["accepted"], document["failed"]["check"]) == (False, "network")


def test_changed_or_truncated_report__is_refused(report: Path, tmp_path: Path) -> None:
    network_id = certified_round().genesis.network_id.hex()
    data = report.read_bytes()
    changed = tmp_path / "changed.dmr"
    for damaged in (data[:-1], data[:1000], b"", data[:-9] + b"\x00" * 9, data[:5] + b"X" + data[6:]):
        changed.write_bytes(damaged)
        ended = deltamesh("verify", changed, "--network-id", network_id)
        assert ended.code == ExitCode.REFUSED, ended
        assert "is refused" in ended.error


def test_bad_input_of_verify__is_one_sentence(report: Path, tmp_path: Path) -> None:
    for arguments, code, reason in [
        ([tmp_path / "none.dmr", "--network-id", "00" * 32], ExitCode.BAD_INPUT, "there is no file"),
        ([report, "--network-id", "xyz"], ExitCode.USAGE, "is no network id"),
        ([report, "--genesis", tmp_path / "none"], ExitCode.BAD_INPUT, "no genesis file"),
        ([report, "--home", tmp_path], ExitCode.USAGE, "which network you trust"),
    ]:
        ended = deltamesh("verify", *arguments)
        assert (ended.code, reason in ended.error) == (code, True)
    assert not (tmp_path / "localnet").exists()


def test_round_that_is_not_certified__is_not_exported(home: Path, tmp_path: Path) -> None:
    cases: list[tuple[list[object], str]] = [
        ([1], "only certified ones are exported"),
        ([99], "nothing of round 99"),
        ([0, "--shard", 5], "has no shard 5"),
    ]
    for arguments, reason in cases:
        ended = deltamesh("rounds", "export", *arguments, "--to", tmp_path / "x.dmr", "--home", home)
        assert (ended.code != 0, reason in ended.error) == (True, True)
    ended = deltamesh("rounds", "export", 0, "--to", tmp_path / "x.zip", "--home", home)
    assert (ended.code, ".dmr" in ended.error) == (ExitCode.BAD_INPUT, True)
    ended = deltamesh("rounds", "export", 0, "--to", tmp_path / "none" / "x.dmr", "--home", home)
    assert (ended.code, "cannot be written" in ended.error) == (ExitCode.BAD_INPUT, True)
    assert list(tmp_path.iterdir()) == []
