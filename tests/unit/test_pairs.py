"""An encoder's pairs: the newest are kept, within bounds, and centred whatever epoch they are from."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.pairs import Pair, Pairs
from node.pairs.pairs import FILE_NAME
from node.store.database import Access
from node.store.errors import StoreCorrupted, StoreError
from protocol.report import DIMENSIONS, VECTOR_BYTES


def _pair(number: int, round_: int, *, centred: bool = True, offset: float = 0.0) -> Pair:
    vector = np.random.default_rng((number, round_)).normal(size=DIMENSIONS) + offset
    return Pair(f"item {number}".encode(), vector.astype("<f4").tobytes(), round_, round_ // 8, centred)


@given(
    batches=st.lists(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)), max_size=8), max_size=6),
    pairs_max=st.integers(1, 12),
    asked=st.integers(0, 20),
)
@settings(max_examples=25, deadline=None)
def test_pairs__keep_the_newest_of_each_item_within_their_bound(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[list[tuple[int, int]]],
    pairs_max: int,
    asked: int,
) -> None:
    folder = tmp_path_factory.mktemp("pairs")
    newest: dict[bytes, Pair] = {}
    with Pairs.open(folder, pairs_max=pairs_max) as pairs:
        for batch in batches:
            given_pairs = [_pair(number, round_) for number, round_ in batch]
            pairs.add(given_pairs)
            for one in given_pairs:
                before = newest.get(one.item)
                newest[one.item] = one if before is None or one.round > before.round else before
            kept = sorted(newest.values(), key=lambda one: -one.round)[:pairs_max]
            # Which of one round's pairs stay is not said, so only whole rounds can be foretold.
            last = kept[-1].round if kept else 0
            newest = {
                one.item: one
                for one in newest.values()
                if one.round > last or one.item in pairs.newest(pairs_max)[0]
            }
            assert len(pairs) == len(kept)
        items, vectors = pairs.newest(asked)
    with Pairs.open(folder, access=Access.READ_ONLY) as again:
        assert again.newest(asked)[0] == items
    assert vectors.shape == (len(items), DIMENSIONS)
    assert vectors.dtype == np.float32
    assert len(items) == min(asked, len(newest), pairs_max)
    rounds = [newest[item].round for item in items]
    assert rounds == sorted(rounds, reverse=True)
    for item, vector in zip(items, vectors, strict=True):
        assert vector.tobytes() == newest[item].vector


def test_pairs__of_epochs_without_means_come_without_their_common_mean(tmp_path: Path) -> None:
    with Pairs.open(tmp_path) as pairs:
        pairs.add([_pair(number, 0, centred=False, offset=3.0) for number in range(200)])
        pairs.add([_pair(number, 20) for number in range(200, 300)])
        items, vectors = pairs.newest(300)
    assert items[0].startswith(b"item 2")
    np.testing.assert_allclose(vectors[100:].mean(axis=0), 0.0, atol=1e-5)
    centred = {one.item: one.vector for one in (_pair(number, 20) for number in range(200, 300))}
    assert vectors[0].tobytes() == centred[items[0]]


def test_pairs__bytes_are_bounded(tmp_path: Path) -> None:
    with Pairs.open(tmp_path, bytes_max=10 * (VECTOR_BYTES + 8)) as pairs:
        pairs.add([_pair(number, number) for number in range(50)])
        assert 9 <= len(pairs) <= 10
        assert min(pairs.rounds()) >= 40


def test_pairs__pass_over_items_without_a_consensus(tmp_path: Path) -> None:
    vector = np.full(DIMENSIONS, np.nan, "<f4").tobytes()
    with Pairs.open(tmp_path) as pairs:
        assert (
            pairs.add([Pair(b"void", vector, 1, 0, True), _pair(1, 1), Pair(b"short", b"", 1, 0, True)]) == 1
        )
        assert pairs.newest(5)[0] == [b"item 1"]


def test_pairs__say_what_is_wrong_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="deltamesh run encoder"):
        Pairs.open(tmp_path, access=Access.READ_ONLY)
    path = tmp_path / FILE_NAME
    path.write_bytes(b"nonsense" * 600)
    with pytest.raises(StoreCorrupted, match="not a database"):
        Pairs.open(tmp_path)
    path.unlink()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE t (a)")
    other.close()
    with pytest.raises(StoreCorrupted, match="another program"):
        Pairs.open(tmp_path)
