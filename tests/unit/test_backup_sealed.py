"""The encrypted file of a backup: opens with its passphrase, whole, and asks for no more than it may."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.backup.errors import BackupError
from node.backup.sealed import (
    MEMORY_BYTES_MAX,
    PASSES_MAX,
    VERSION,
    Cost,
    load_sealed,
    open_sealed,
    read_sealed,
    save_sealed,
    seal,
)
from node.backup.words import PASSPHRASE_WORDS, new_passphrase, seed_from_words, seed_to_words
from node.private_file import PrivateFileExists
from protocol.codec import encode

CHEAP = Cost(passes=1, memory_bytes=8_192)
KEY, NETWORK = bytes(range(32)), b"n" * 32
CONTENT, PASSPHRASE = b"what a node is", b"correct horse"


def sealed(content: bytes = CONTENT, passphrase: bytes = PASSPHRASE) -> bytes:
    return seal(content, passphrase, public_key=KEY, network_id=NETWORK, made_ms=5, cost=CHEAP)


def changed(**fields: object) -> bytes:
    """A file of which somebody has rewritten the header."""
    header, content = msgspec.msgpack.decode(sealed())
    values = msgspec.msgpack.decode(header)
    names = ["magic", "version", "key_derivation", "passes", "memory_bytes", "salt", "cipher"]
    for name, value in fields.items():
        values[names.index(name)] = value
    return encode((encode(values), content))


@given(content=st.binary(max_size=200), passphrase=st.binary(min_size=1, max_size=64))
@settings(max_examples=30)
def test_sealed__opens_with_its_passphrase_to_the_same_content(content: bytes, passphrase: bytes) -> None:
    backup = read_sealed(sealed(content, passphrase), "it")
    assert open_sealed(backup, passphrase) == content
    assert (backup.header.public_key, backup.header.network_id, backup.header.made_ms) == (KEY, NETWORK, 5)
    with pytest.raises(BackupError, match="does not open"):
        open_sealed(backup, passphrase + b"x")


@given(place=st.integers(0), flip=st.integers(1, 255))
@settings(max_examples=150)
def test_any_changed_byte__is_noticed_header_too(place: int, flip: int) -> None:
    data = bytearray(sealed())
    data[place % len(data)] ^= flip
    try:
        backup = read_sealed(bytes(data), "it")
    except BackupError:
        return
    # A change of the cost may make it dearer, within the bounds: that takes time to try.
    if (backup.header.passes, backup.header.memory_bytes) == (1, 8_192):
        with pytest.raises(BackupError):
            open_sealed(backup, PASSPHRASE)


@given(st.binary(max_size=300))
def test_any_bytes__are_no_backup_and_say_so(data: bytes) -> None:
    with pytest.raises(BackupError, match="no backup of a key"):
        read_sealed(data, "it")


@pytest.mark.parametrize(
    "fields",
    [
        {"memory_bytes": MEMORY_BYTES_MAX + 1},
        {"memory_bytes": 100 << 30},
        {"memory_bytes": 1},
        {"passes": PASSES_MAX + 1},
        {"passes": 0},
        {"salt": b"short"},
        {"key_derivation": "none"},
        {"cipher": "rot13"},
    ],
    ids=str,
)
def test_header_beyond_the_bounds__is_refused_before_any_work(
    fields: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = changed(**fields)
    monkeypatch.setattr("node.backup.sealed._key", lambda *_: pytest.fail("it derived a key"))
    with pytest.raises(BackupError, match="no backup of a key, or is damaged"):
        read_sealed(data, "it")


def test_other_version__is_named() -> None:
    with pytest.raises(BackupError, match=f"version 7, this software reads {VERSION}"):
        read_sealed(changed(version=7), "it")


def test_empty_passphrase__is_refused() -> None:
    with pytest.raises(BackupError, match="1 to 1024 bytes"):
        sealed(passphrase=b"")


def test_same_content__is_never_sealed_alike() -> None:
    assert sealed() != sealed()


def test_saved__is_private_and_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "it"
    save_sealed(path, sealed())
    assert path.stat().st_mode & 0o777 == 0o600
    assert open_sealed(load_sealed(path), PASSPHRASE) == CONTENT
    with pytest.raises(PrivateFileExists):
        save_sealed(path, sealed())
    with pytest.raises(BackupError, match="cannot read"):
        load_sealed(tmp_path / "other")


@given(st.binary(min_size=32, max_size=32))
def test_words_of_a_seed__give_it_back_and_notice_a_mistake(seed: bytes) -> None:
    words = seed_to_words(seed)
    assert seed_from_words(f"  {words.upper()}\n") == seed
    listed = words.split()
    with pytest.raises(BackupError, match="24 words, here are 23"):
        seed_from_words(" ".join(listed[:-1]))
    with pytest.raises(BackupError, match="word 3 is not in the list"):
        seed_from_words(" ".join([*listed[:2], "deltamesh", *listed[3:]]))


def test_words_in_another_order__fail_their_checksum() -> None:
    listed = seed_to_words(bytes(range(32))).split()
    with pytest.raises(BackupError, match="checksum"):
        seed_from_words(" ".join(listed[::-1]))


def test_seed_zero__is_the_vector_of_bip_39() -> None:
    assert seed_to_words(bytes(32)).split() == ["abandon"] * 23 + ["art"]


def test_generated_passphrase__has_its_words_and_is_another_each_time() -> None:
    first, second = new_passphrase(), new_passphrase()
    assert len(first.split()) == PASSPHRASE_WORDS
    assert first != second
