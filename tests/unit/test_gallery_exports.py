"""Galleries filled from exports: what goes in comes out, and hostile files are refused at the door."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from node.cli.embedding_files import write_embeddings
from node.cli.embedding_spool import EmbeddingRow, EmbeddingSpool
from node.gallery import ExportError, GalleryError, Origin
from node.gallery.from_export import add_export
from node.gallery.items_table import EVERYTHING
from tests.support.galleries import NETWORK_ID, drawn, gallery_of, id_of

ROWS = drawn(7)
RAW = {"space": "deltamesh consensus, raw", "network_id": NETWORK_ID.hex(), "modality": "text"}


def exported(folder: Path, suffix: str, metadata: dict[str, str] = RAW) -> Path:
    """As `deltamesh embeddings export` writes it: rounds 0 and 3, the second with an item of the first."""
    path = folder / f"export{suffix}"
    spool = EmbeddingSpool(path, {})
    for round_, places in ((0, range(4)), (3, range(3, 7))):
        spool.append_round(
            round_,
            [
                (EmbeddingRow(id_of(f"text {n}").hex(), f"text {n}", round_, 0, n, 1), ROWS[n].tobytes())
                for n in places
            ],
        )
    write_embeddings(path, spool, metadata, lambda _: None)
    spool.remove()
    return path


def columns(count: int = 3) -> dict[str, Any]:
    """The columns of a sound export, to be spoilt."""
    return {
        "item_id": pa.array([id_of(f"text {n}").hex() for n in range(count)]),
        "text": pa.array([f"text {n}" for n in range(count)]),
        **{name: pa.array([0] * count, pa.int64()) for name in ("round", "shard", "space_epoch")},
        "vector": pa.array([ROWS[n % 7].tolist() for n in range(count)], pa.list_(pa.float32())),
    }


def parquet(folder: Path, **changes: Any) -> Path:
    """A Parquet file like an export's; a column that is None is left out."""
    path = folder / "made.parquet"
    found = {name: column for name, column in (columns() | changes).items() if column is not None}
    pq.write_table(pa.table(found).replace_schema_metadata(RAW), path)
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_export__is_added_once_with_its_newest_vectors(tmp_path: Path, suffix: str) -> None:
    path = exported(tmp_path, suffix)
    with gallery_of(tmp_path, []) as gallery:
        done: list[int] = []
        added = add_export(gallery, "all", path, on_rows=lambda rows, _: done.append(rows))
        assert (added.new, added.known, done) == (7, 1, [8])
        (part,) = gallery.vectors_after(0)
        by_preview = {one.preview: one for one in gallery.items_at(part.rows.tolist()).values()}
        for row, vector in zip(part.rows.tolist(), part.vectors, strict=True):
            preview = gallery.items_at([row])[row].preview
            assert vector.tobytes() == ROWS[int(preview.split()[1])].tobytes()
        assert {one.origin for one in by_preview.values()} == {Origin.EXPORT}
        assert by_preview["text 3"].round == 3
        assert by_preview["text 0"].source == f"file:export{suffix}"
        assert add_export(gallery, "all", path).known == 8


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_interrupted_export__goes_on_where_it_stopped(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = exported(tmp_path, suffix)
    monkeypatch.setattr("node.gallery.from_export.BATCH_ROWS", 3)

    def interrupt(rows: int, _: int | None) -> None:
        if rows == 6:
            raise KeyboardInterrupt

    with gallery_of(tmp_path, []) as gallery:
        with pytest.raises(KeyboardInterrupt):
            add_export(gallery, "all", path, on_rows=interrupt)
        told: list[int] = []
        add_export(gallery, "all", path, on_rows=lambda rows, _: told.append(rows))
        assert told[0] > 6
        assert gallery.count(EVERYTHING) == 7


def test_shaped_export__keeps_its_space(tmp_path: Path) -> None:
    path = exported(tmp_path, ".parquet", RAW | {"space": "deltamesh consensus, epoch 1"})
    with gallery_of(tmp_path, []) as gallery:
        assert add_export(gallery, "all", path).unusable == 8, "its vectors are not of unit norm"
    with (
        pytest.raises(ExportError, match="space epoch 1, the file in epoch 2"),
        gallery_of(tmp_path, []) as g,
    ):
        add_export(g, "all", exported(tmp_path, ".jsonl", RAW | {"space": "deltamesh consensus, epoch 2"}))


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_export_that_names_no_space_or_another_network__is_refused(tmp_path: Path, suffix: str) -> None:
    for metadata, error, why in [
        ({}, ExportError, "in which space"),
        ({"space": "my own"}, ExportError, "in which space"),
        (RAW | {"network_id": "00" * 32}, GalleryError, "networks share no space"),
        (RAW | {"network_id": "\x1b[2J"}, ExportError, "64 hexadecimal digits"),
        (RAW | {"modality": "image"}, GalleryError, "these items are image"),
    ]:
        with gallery_of(tmp_path, []) as gallery, pytest.raises(error, match=why):
            add_export(gallery, "all", exported(tmp_path, suffix, metadata))
    with gallery_of(tmp_path, []) as gallery, pytest.raises(ExportError, match="not of 0909"):
        add_export(gallery, "all", exported(tmp_path, suffix), b"\x09" * 32)


BOMB = "x" * (1 << 20)
HOSTILE: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "no vectors": (lambda: {"vector": None}, "no export"),
    "doubles": (lambda: {"vector": pa.array([[0.1] * 1024] * 3)}, "not lists of float"),
    "plain numbers": (lambda: {"vector": pa.array([0.1] * 3, pa.float32())}, "not lists of float"),
    "short vectors": (
        lambda: {"vector": pa.array([[0.1] * 512] * 3, pa.list_(pa.float32()))},
        "1,024 numbers",
    ),
    "ragged vectors": (
        lambda: {"vector": pa.array([[0.1] * 1024, [0.1], []], pa.list_(pa.float32()))},
        "1,024 numbers",
    ),
    "no vector": (
        lambda: {"vector": pa.array([[0.1] * 1024, None, None], pa.list_(pa.float32()))},
        "numbers",
    ),
    "long vector": (
        lambda: {"vector": pa.array([[0.1] * 40_000, [], []], pa.list_(pa.float32()))},
        "no export does|absurd",
    ),
    "text as number": (lambda: {"text": pa.array([1, 2, 3])}, "not text"),
    "round as text": (lambda: {"round": pa.array(["0", "0", "0"])}, "not whole numbers"),
    "negative round": (lambda: {"round": pa.array([0, -1, 0])}, "no whole number"),
    "missing round": (lambda: {"round": pa.array([0, None, 0])}, "no whole number"),
    "bad id": (lambda: {"item_id": pa.array(["zz" * 32] * 3)}, "64 hexadecimal"),
    "missing id": (lambda: {"item_id": pa.array(["ab" * 32, None, None])}, "64 hexadecimal"),
    "text bomb": (lambda: {"text": pa.array([BOMB] * 3)}, "no export does|longer than"),
    "text bomb said once": (lambda: {"text": pa.array([BOMB, "", ""])}, "no export does|longer than"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_column__is_refused_and_nothing_of_its_part_is_kept(tmp_path: Path, name: str) -> None:
    spoil, why = HOSTILE[name]
    path = parquet(tmp_path, **spoil())
    with gallery_of(tmp_path, []) as gallery:
        with pytest.raises(ExportError, match=why):
            add_export(gallery, "all", path)
        assert gallery.count(EVERYTHING) == 0


def test_long_text_said_often__is_refused_before_it_is_spelt_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spelt_out(*_: object) -> None:
        raise AssertionError("a thousand megabytes")

    monkeypatch.setattr("node.gallery.export_parquet.checked_row", spelt_out)
    path = parquet(tmp_path, text=pa.array([BOMB] * 3).dictionary_encode())
    with gallery_of(tmp_path, []) as gallery, pytest.raises(ExportError, match="longer than any item's"):
        add_export(gallery, "all", path)


def test_long_vector_of_many_small_pages__is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "many.parquet"
    vectors = pa.array([[0.25] * 20_000] * 3 + [[]] * 27, pa.list_(pa.float32()))
    table = pa.table(columns(30) | {"vector": vectors}).replace_schema_metadata(RAW)
    pq.write_table(table, path, data_page_size=256, write_batch_size=256, data_page_version="1.0")
    with gallery_of(tmp_path, []) as gallery, pytest.raises(ExportError, match="60,027 values for 30 rows"):
        add_export(gallery, "all", path)


def test_columns_that_are_no_exports__are_never_unpacked(tmp_path: Path) -> None:
    bomb = pa.array([BOMB * 8] * 3).dictionary_encode()
    with gallery_of(tmp_path, []) as gallery:
        assert add_export(gallery, "all", parquet(tmp_path, bomb=bomb)).new == 3


def test_nan_zero_and_infinite_vectors__are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [
        [float("nan")] * 1024,
        [0.0] * 1024,
        [None] * 1024,
        [float("inf")] + [0.0] * 1023,
        ROWS[0].tolist(),
    ]
    spoilt = columns(5) | {"vector": pa.array(rows, pa.list_(pa.float32()))}
    with gallery_of(tmp_path, []) as gallery:
        added = add_export(gallery, "all", parquet(tmp_path, **spoilt))
        assert (added.unusable, added.new) == (4, 1)


def test_damaged_parquet__is_one_sentence_wherever_it_is_damaged(tmp_path: Path) -> None:
    data = parquet(tmp_path).read_bytes()
    path = tmp_path / "damaged.parquet"
    draw = np.random.default_rng(5)
    with gallery_of(tmp_path, []) as gallery:
        for cut in (0, 3, 100, len(data) // 2, len(data) - 1):
            path.write_bytes(data[:cut])
            with pytest.raises(ExportError):
                add_export(gallery, "all", path)
        for _ in range(60):
            changed = bytearray(data)
            for place in draw.integers(0, len(data), 3):
                changed[place] ^= int(draw.integers(1, 256))
            path.write_bytes(changed)
            # Sound by luck, or refused; never anything else.
            with contextlib.suppress(GalleryError):
                add_export(gallery, "all", path)


def test_row_groups_too_large_to_unpack__are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.gallery.export_parquet.GROUP_ROWS_MAX", 2)
    with gallery_of(tmp_path, []) as gallery, pytest.raises(ExportError, match="row groups of 2"):
        add_export(gallery, "all", parquet(tmp_path))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "is not JSON"),
        ("[" * 5_000, "is not JSON"),
        ("[1]", "is no object"),
        (json.dumps({"item_id": "ab" * 32}), "whole number"),
        ("x" * (1 << 19), "longer than any row"),
        ("\x00\xff", "is not JSON"),
    ],
)
def test_hostile_line__is_refused_with_its_number(tmp_path: Path, line: str, why: str) -> None:
    path = exported(tmp_path, ".jsonl")
    path.write_bytes(path.read_bytes() + line.encode("latin-1") + b"\n")
    with gallery_of(tmp_path, []) as gallery, pytest.raises(ExportError, match=why) as caught:
        add_export(gallery, "all", path)
    assert "line 10" in str(caught.value)


def test_numbers_that_are_none__make_a_vector_unusable(tmp_path: Path) -> None:
    path = exported(tmp_path, ".jsonl")
    lines = path.read_text().splitlines()
    for place, wrong in enumerate(["null", '"a"', "NaN", "1e400", "true", str(10**400)]):
        row = json.loads(lines[place + 1])
        row["vector"][5] = "@"
        lines[place + 1] = json.dumps(row).replace('"@"', wrong)
    path.write_text("\n".join(lines))
    with gallery_of(tmp_path, []) as gallery:
        assert add_export(gallery, "all", path).unusable == 6


def test_files_of_other_kinds__are_told_what_can_be_added(tmp_path: Path) -> None:
    with gallery_of(tmp_path, []) as gallery:
        for name, why in [
            ("a.csv", ".dmr, .parquet, .jsonl"),
            ("none.parquet", "no file"),
            ("a.npz", ".dmr"),
        ]:
            with pytest.raises(ExportError, match=why):
                add_export(gallery, "all", tmp_path / name)
