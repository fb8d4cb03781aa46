"""The pool: what is committed to is what is proven, and nothing in the file can change unseen."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.chain_file import create_chain_seed, load_chain_seed
from node.pool import Pool, PoolError
from node.private_file import PrivateFileError
from protocol.items import canonical_text
from protocol.merkle import MerkleError, verify_merkle_proof
from protocol.modalities import IMAGE
from tests.support.genesis import text_items

ITEMS = text_items("p", 21)


@given(
    st.sets(st.text(st.characters(categories=("L", "N")), min_size=1, max_size=20), min_size=1, max_size=40)
)
@settings(max_examples=40)
def test_loaded_pool__proves_every_item_under_the_root_it_was_made_with(words: set[str]) -> None:
    items = sorted({canonical_text(word) for word in words})
    with tempfile.TemporaryDirectory() as folder:
        made = Pool.create(Path(folder, "pool"), items)
        loaded = Pool.load(Path(folder, "pool"))
    assert (loaded.root, loaded.size) == (made.root, len(items))
    for index, item in enumerate(items):
        proven = loaded.item(index)
        assert (proven.index, proven.data) == (index, item)
        assert verify_merkle_proof(made.root, proven.data, proven.index, made.size, proven.proof)


def test_any_changed_byte__is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pool"
    Pool.create(path, ITEMS)
    data = path.read_bytes()
    draw = random.Random(1)
    for offset in [*range(40), *draw.sample(range(len(data)), 200)]:
        changed = bytearray(data)
        changed[offset] ^= draw.randint(1, 255)
        path.write_bytes(changed)
        with pytest.raises(PoolError, match=r"damaged|does not hold|version"):
            Pool.load(path)


def test_pool_of_pictures__is_one_of_pictures_when_it_is_read_again(tmp_path: Path) -> None:
    items = [b"\x00\x10\x00\x10" + bytes([shade]) * 768 for shade in range(5)]
    made = Pool.create(tmp_path / "pool", items, IMAGE)
    loaded = Pool.load(tmp_path / "pool")
    assert loaded.modality is made.modality is IMAGE
    assert [loaded.item(index).data for index in range(5)] == items
    with pytest.raises(PoolError, match="item 0 cannot be in a pool: image of"):
        Pool.create(tmp_path / "other", [b"\x00\x10\x00\x10 a text"], IMAGE)


def test_truncated_file__is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pool"
    Pool.create(path, ITEMS)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(PoolError, match="restore it from a backup"):
        Pool.load(path)


def test_pool__is_private_and_leaves_no_draft(tmp_path: Path) -> None:
    Pool.create(tmp_path / "pool", ITEMS)
    assert (tmp_path / "pool").stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["pool"]


def test_existing_pool__is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "pool"
    first = Pool.create(path, ITEMS)
    with pytest.raises(PrivateFileError, match="never overwritten"):
        Pool.create(path, ITEMS[:3])
    assert Pool.load(path).root == first.root


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        ([], "at least one item"),
        ([b"same words", b"same words"], "twice"),
        ([b"fine words", b"two  spaces"], "item 1 cannot be"),
        ([b"\xff"], "not UTF-8"),
        ([b"x" * 9000], "8192"),
    ],
)
def test_unfit_items__make_no_pool(tmp_path: Path, items: list[bytes], reason: str) -> None:
    with pytest.raises(PoolError, match=reason):
        Pool.create(tmp_path / "pool", items)
    assert list(tmp_path.iterdir()) == []


def test_too_many_bytes__make_no_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.pool.POOL_BYTES_MAX", 500)
    with pytest.raises(PoolError, match="point --data to a part"):
        Pool.create(tmp_path / "pool", ITEMS)


def test_oversize_file__is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pool"
    path.touch(mode=0o600)
    with path.open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(PrivateFileError, match="over the bound"):
        Pool.load(path)


def test_missing_index__is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MerkleError):
        Pool.create(tmp_path / "pool", ITEMS).item(len(ITEMS))


def test_full_disk__leaves_neither_pool_nor_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(PrivateFileError, match="the disk is full"):
        Pool.create(tmp_path / "pool", ITEMS)
    assert list(tmp_path.iterdir()) == []


def test_chain_seed__loads_as_made_and_is_private(tmp_path: Path) -> None:
    seed = create_chain_seed(tmp_path / "chain.seed")
    assert load_chain_seed(tmp_path / "chain.seed") == seed
    assert (tmp_path / "chain.seed").stat().st_mode & 0o777 == 0o600
    assert create_chain_seed(tmp_path / "other") != seed


def test_chain_seed__is_never_overwritten(tmp_path: Path) -> None:
    seed = create_chain_seed(tmp_path / "chain.seed")
    with pytest.raises(PrivateFileError, match="never overwritten"):
        create_chain_seed(tmp_path / "chain.seed")
    assert load_chain_seed(tmp_path / "chain.seed") == seed


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
@pytest.mark.parametrize("load", [load_chain_seed, Pool.load])
def test_wide_mode__is_refused_with_the_command_that_closes_it(
    tmp_path: Path, mode: int, load: object
) -> None:
    path = tmp_path / "secret"
    path.write_text("ab" * 32)
    path.chmod(mode)
    with pytest.raises(PrivateFileError, match=f"chmod 600 {path}"):
        load(path)  # type: ignore[operator]


@pytest.mark.parametrize("text", ["", "ab" * 31, "zz" * 32, "AB" * 32, "ab" * 32 + "\n\n"])
def test_damaged_chain_seed__is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "chain.seed"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(PrivateFileError) as caught:
        load_chain_seed(path)
    assert "abab" not in str(caught.value)


@pytest.mark.parametrize("load", [load_chain_seed, Pool.load])
def test_missing_or_odd_file__says_what_to_do(tmp_path: Path, load: object) -> None:
    with pytest.raises(PrivateFileError, match=r"deltamesh init --role validator"):
        load(tmp_path / "none")  # type: ignore[operator]
    with pytest.raises(PrivateFileError, match="is not a file"):
        load(tmp_path)  # type: ignore[operator]
