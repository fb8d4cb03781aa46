"""Signatures: what is signed verifies, nothing else does, and garbage never raises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings

from protocol import signatures
from protocol.signatures import SigningError, is_valid_public_key, public_key, sign, verify

BYTES32 = st.binary(min_size=32, max_size=32)
ORDER = 2**252 + 27742317777372353535851937790883648493
FIELD = 2**255 - 19

# The canonical encodings of the eight points of small order, and the non-canonical ones that fit 255 bits.
SMALL_ORDER = [
    (0).to_bytes(32, "little"),
    (1).to_bytes(32, "little"),
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    (FIELD - 1).to_bytes(32, "little"),
    FIELD.to_bytes(32, "little"),
    (FIELD + 1).to_bytes(32, "little"),
]


@given(seed=BYTES32, digest=BYTES32)
def test_sign__verifies_under_its_own_key(seed: bytes, digest: bytes) -> None:
    signature = sign(seed, digest)
    assert len(signature) == 64
    assert signature == sign(seed, digest)
    assert verify(public_key(seed), digest, signature)
    signatures._made.clear()  # what was made here is believed unseen: now it is checked
    assert verify(public_key(seed), digest, signature)


def test_sign__remembers_no_more_than_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signatures, "_MADE_KEPT", 3)
    made = [(bytes([n]) * 32, sign(b"s" * 32, bytes([n]) * 32)) for n in range(9)]
    assert len(signatures._made) <= 3
    assert all(verify(public_key(b"s" * 32), name, signature) for name, signature in made)


@given(seed=BYTES32, digest=BYTES32, bit=st.integers(0, 8 * 128 - 1))
def test_verify__refuses_any_flipped_bit(seed: bytes, digest: bytes, bit: int) -> None:
    joined = bytearray(public_key(seed) + digest + sign(seed, digest))
    joined[bit // 8] ^= 1 << bit % 8
    assert not verify(bytes(joined[:32]), bytes(joined[32:64]), bytes(joined[64:]))


@given(key=st.binary(max_size=40), digest=st.binary(max_size=40), signature=st.binary(max_size=70))
def test_verify__answers_false_on_garbage(key: bytes, digest: bytes, signature: bytes) -> None:
    assert verify(key, digest, signature) is False


@given(seed=BYTES32, digest=BYTES32)
def test_verify__refuses_an_untagged_signature_because_the_transport_makes_those(
    seed: bytes, digest: bytes
) -> None:
    public, secret = bindings.crypto_sign_seed_keypair(seed)
    assert not verify(public, digest, bindings.crypto_sign(digest, secret)[:64])


@given(seed=BYTES32, digest=BYTES32)
def test_verify__refuses_a_malleated_signature_whose_s_exceeds_the_order(seed: bytes, digest: bytes) -> None:
    signature = sign(seed, digest)
    s = int.from_bytes(signature[32:], "little") + ORDER
    assert not verify(public_key(seed), digest, signature[:32] + s.to_bytes(32, "little"))


@pytest.mark.parametrize("sign_bit", [0, 0x80])
@pytest.mark.parametrize("key", SMALL_ORDER, ids=lambda key: key[::-1].hex()[:8] + key[:4].hex())
def test_verify__refuses_small_order_keys_because_they_would_verify_many_digests(
    key: bytes, sign_bit: int
) -> None:
    key = key[:31] + bytes([key[31] | sign_bit])
    # For such a key R = (small order), S = 0 satisfies the bare equation for at least one digest in eight.
    for r in SMALL_ORDER:
        for n in range(16):
            assert not verify(key, bytes([n]) * 32, r + bytes(32))


@pytest.mark.parametrize("key", [FIELD + offset for offset in range(19)])
def test_is_valid_public_key__refuses_non_canonical_keys_because_one_point_would_have_two_names(
    key: int,
) -> None:
    encoded = key.to_bytes(32, "little")
    assert not is_valid_public_key(encoded)
    assert not verify(encoded, bytes(32), sign(bytes(32), bytes(32)))


@pytest.mark.parametrize("key", [*SMALL_ORDER, b"", bytes(31), bytes(33)], ids=lambda key: key.hex()[-8:])
def test_is_valid_public_key__refuses_small_order_points_and_other_lengths(key: bytes) -> None:
    assert not is_valid_public_key(key)


@given(seed=BYTES32)
def test_is_valid_public_key__admits_every_honest_key(seed: bytes) -> None:
    assert is_valid_public_key(public_key(seed))


def test_sign__matches_rfc_8032_key_derivation() -> None:
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    expected = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert public_key(seed).hex() == expected


def test_sign__refuses_a_digest_of_another_length() -> None:
    with pytest.raises(SigningError, match="32-byte digests"):
        sign(bytes(32), b"short")


def test_public_key__refuses_a_seed_of_another_length() -> None:
    with pytest.raises(SigningError, match="this one 31"):
        public_key(bytes(31))
