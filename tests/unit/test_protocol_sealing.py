"""Sealing: opens under its own key only, deterministically, with no keystream used twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings

from protocol.sealing import SEAL_OVERHEAD_BYTES, SealError, seal, unseal, wave_key

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "sealing.json").read_text())
KEYS = st.binary(min_size=32, max_size=32)


def test_sealing__matches_the_vectors() -> None:
    for row in VECTORS:
        key = wave_key(bytes.fromhex(row["secret"]), row["wave"])
        assert key.hex() == row["key"]
        assert seal(key, bytes.fromhex(row["data"])).hex() == row["ciphertext"]


@given(key=KEYS, data=st.binary(max_size=300))
def test_seal__opens_to_the_same_data_and_is_deterministic(key: bytes, data: bytes) -> None:
    sealed = seal(key, data)
    assert unseal(key, sealed) == data
    assert sealed == seal(key, memoryview(data))
    assert len(sealed) == len(data) + SEAL_OVERHEAD_BYTES


@given(key=KEYS, data=st.binary(max_size=60), at=st.integers(0, 1 << 20))
def test_unseal__refuses_any_flipped_bit(key: bytes, data: bytes, at: int) -> None:
    sealed = bytearray(seal(key, data))
    at %= 8 * len(sealed)
    sealed[at // 8] ^= 1 << at % 8
    with pytest.raises(SealError, match="does not open"):
        unseal(key, bytes(sealed))


@given(keys=st.lists(KEYS, min_size=2, max_size=2, unique=True), data=st.binary(max_size=60))
def test_unseal__refuses_another_key(keys: list[bytes], data: bytes) -> None:
    with pytest.raises(SealError, match="does not open"):
        unseal(keys[1], seal(keys[0], data))


@given(key=KEYS, texts=st.lists(st.binary(min_size=16, max_size=16), min_size=2, max_size=2, unique=True))
def test_seal__never_uses_one_keystream_for_two_texts(key: bytes, texts: list[bytes]) -> None:
    # With a fixed nonce the xor of two ciphertexts would be the xor of their texts.
    a, b = (seal(key, text)[24:40] for text in texts)
    xor = bytes(x ^ y for x, y in zip(*texts, strict=True))
    assert bytes(x ^ y for x, y in zip(a, b, strict=True)) != xor


@given(key=KEYS, nonce=st.binary(min_size=24, max_size=24), data=st.binary(max_size=60))
def test_unseal__refuses_a_nonce_of_the_dealers_choice_because_two_keys_might_open_it(
    key: bytes, nonce: bytes, data: bytes
) -> None:
    forged = nonce + bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(data, None, nonce, key)
    with pytest.raises(SealError, match="does not open"):
        unseal(key, forged)


@pytest.mark.parametrize("size_bytes", [0, 1, SEAL_OVERHEAD_BYTES - 1])
def test_unseal__refuses_ciphertexts_too_short_to_be_one(size_bytes: int) -> None:
    with pytest.raises(SealError, match="too short"):
        unseal(bytes(32), bytes(size_bytes))


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33)], ids=len)
def test_seal__refuses_keys_of_another_length(key: bytes) -> None:
    with pytest.raises(SealError, match="32 bytes"):
        seal(key, b"")
    with pytest.raises(SealError, match="32 bytes"):
        unseal(key, bytes(40))


@given(secrets=st.lists(KEYS, min_size=2, max_size=2, unique=True))
def test_wave_key__differs_by_secret_and_wave(secrets: list[bytes]) -> None:
    assert len({wave_key(secret, wave) for secret in secrets for wave in (1, 2, 3)}) == 6
