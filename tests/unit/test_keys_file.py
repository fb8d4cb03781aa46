"""Key files: private, whole, never overwritten; and the names derived from a key."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.peer.id import ID

from node.keys import KeyFileError, NodeKey, create_key, fingerprint, load_key, peer_id
from node.private_file import PrivateFileError, PrivateFileExists


def write_key(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


@given(st.binary(min_size=32, max_size=32))
def test_peer_id__is_the_one_libp2p_computes(seed: bytes) -> None:
    key = NodeKey(seed)
    pair = create_new_key_pair(seed)
    assert key.public_key == pair.public_key.to_bytes()
    assert key.peer_id == str(ID.from_pubkey(pair.public_key))


def test_peer_id__of_known_key_is_its_vector() -> None:
    # Public key of the first test vector of RFC 8032, section 7.1.
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    assert NodeKey(seed).public_key == public
    assert peer_id(public).startswith("12D3KooW")
    assert fingerprint(public) == NodeKey(seed).fingerprint == "d75a9801"


@pytest.mark.parametrize("length", [0, 31, 33])
def test_peer_id__of_another_length_is_an_error(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        peer_id(bytes(length))


def test_representation__hides_the_secret() -> None:
    key = NodeKey(b"\x5a" * 32)
    assert "5a5a" not in repr(key)
    assert "ZZ" not in repr(key)


def test_created_key__loads_and_is_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        created = create_key(tmp_path / "key")
    finally:
        os.umask(before)
    assert load_key(tmp_path / "key") == created
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["key"]


def test_created_keys__differ(tmp_path: Path) -> None:
    assert create_key(tmp_path / "a").seed != create_key(tmp_path / "b").seed


def test_existing_file__is_never_overwritten(tmp_path: Path) -> None:
    path = write_key(tmp_path / "key", "precious")
    with pytest.raises(PrivateFileExists, match="never overwritten"):
        create_key(path)
    assert path.read_text() == "precious"
    assert [entry.name for entry in tmp_path.iterdir()] == ["key"]


def test_dangling_link__is_never_written_through(tmp_path: Path) -> None:
    (tmp_path / "key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PrivateFileExists, match="never overwritten"):
        create_key(tmp_path / "key")
    assert not (tmp_path / "elsewhere").exists()


def test_full_disk__leaves_neither_key_nor_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(PrivateFileError, match="the disk is full"):
        create_key(tmp_path / "key")
    assert list(tmp_path.iterdir()) == []


def test_missing_directory__is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(PrivateFileError, match=r"cannot write the node's key .*does not exist"):
        create_key(tmp_path / "none" / "key")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o777])
def test_wide_mode__is_refused_with_the_command_that_closes_it(tmp_path: Path, mode: int) -> None:
    path = write_key(tmp_path / "key", "ab" * 32, mode)
    with pytest.raises(PrivateFileError, match=f"chmod 600 {path}"):
        load_key(path)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_private_mode__is_accepted(tmp_path: Path, mode: int) -> None:
    assert load_key(write_key(tmp_path / "key", "ab" * 32 + "\n", mode)).seed == b"\xab" * 32


@pytest.mark.parametrize(
    "text", ["", "ab" * 31, "ab" * 33, "zz" * 32, "AB" * 32, "ab" * 32 + "\n\n", " " + "ab" * 32]
)
def test_damaged_file__is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(KeyFileError, match="is not a key file") as caught:
        load_key(write_key(tmp_path / "key", text))
    assert "abab" not in str(caught.value)


def test_missing_key__says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(PrivateFileError, match="deltamesh keys new"):
        load_key(tmp_path / "key")


def test_directory__is_no_key(tmp_path: Path) -> None:
    with pytest.raises(PrivateFileError, match="is not a file"):
        load_key(tmp_path)


def test_pipe__is_no_key_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key", 0o600)
    with pytest.raises(PrivateFileError, match="is not a file"):
        load_key(tmp_path / "key")
