"""Hashing: unambiguous digests, and a stream that is uniform and the same everywhere."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from protocol.hashing import HashingError, content_digest, digest, keyed_stream, uint

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "hashing.json").read_text())
PARTS = st.lists(st.binary(max_size=12), max_size=5)
KEYS = st.binary(min_size=32, max_size=32)


def test_hashing__matches_the_vectors() -> None:
    for row in VECTORS["digest"]:
        assert digest(row["domain"], *map(bytes.fromhex, row["parts"])).hex() == row["digest"]
    for row in VECTORS["stream"]:
        stream = keyed_stream(bytes.fromhex(row["key"]), row["domain"])
        assert [stream.below(limit) for limit in row["limits"]] == row["below"]
        assert stream.take(len(row["take"]) // 2).hex() == row["take"]
        assert stream.shuffle(range(len(row["shuffle"]))) == row["shuffle"]


@given(a=PARTS, b=PARTS)
def test_digest__differs_for_different_parts_even_if_they_concatenate_alike(
    a: list[bytes], b: list[bytes]
) -> None:
    assert (digest("x", *a) == digest("x", *b)) == (a == b)
    if a:
        # Move one byte over the border between the first two parts: same concatenation, other parts.
        moved = [a[0] + b"z", b"", *a[1:]]
        assert digest("x", *moved) != digest("x", a[0], b"z", *a[1:])


@given(data=st.binary(max_size=300))
def test_digest__is_blake3_derive_key_over_length_prefixed_parts(data: bytes) -> None:
    expected = blake3(len(data).to_bytes(8, "big") + data, derive_key_context="deltamesh item v1")
    assert digest("item", data) == expected.digest()
    assert digest("item", bytearray(data)) == digest("item", memoryview(data)) == expected.digest()


def test_digest__counts_a_memoryview_by_its_bytes_not_its_rows() -> None:
    data = bytes(range(16))
    assert digest("x", memoryview(data).cast("B", (4, 4))) == digest("x", data)


@given(data=st.binary(max_size=64))
def test_digest__separates_domains(data: bytes) -> None:
    assert len({digest("a", data), digest("b", data), digest("", data), content_digest(data)}) == 4


def test_content_digest__is_plain_blake3() -> None:
    # The empty input's hash in the published test vectors of BLAKE3.
    assert content_digest(b"").hex() == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


@given(key=KEYS, sizes=st.lists(st.integers(0, 700), max_size=12))
def test_take__gives_the_same_bytes_however_they_are_cut(key: bytes, sizes: list[int]) -> None:
    stream = keyed_stream(key, "cut")
    assert b"".join(map(stream.take, sizes)) == keyed_stream(key, "cut").take(sum(sizes))


@given(key=KEYS, limits=st.lists(st.integers(1, 1 << 80), max_size=30))
def test_below__stays_below_its_limit(key: bytes, limits: list[int]) -> None:
    stream = keyed_stream(key, "limit")
    assert all(0 <= stream.below(limit) < limit for limit in limits)


@pytest.mark.parametrize("limit", [2, 3, 5, 7, 100, 200, 255, 257])
def test_below__is_uniform_within_5_sigma(limit: int) -> None:
    draws = 400 * limit
    stream = keyed_stream(bytes(32), f"uniform {limit}")
    counts = [0] * limit
    for _ in range(draws):
        counts[stream.below(limit)] += 1
    p = 1 / limit
    sigma = (draws * p * (1 - p)) ** 0.5
    assert all(abs(count - draws * p) < 5 * sigma for count in counts)


@given(key=KEYS, values=st.lists(st.integers(), max_size=40))
def test_shuffle__permutes_and_leaves_the_input_alone(key: bytes, values: list[int]) -> None:
    before = list(values)
    shuffled = keyed_stream(key, "shuffle").shuffle(values)
    assert values == before
    assert sorted(shuffled) == sorted(values)


def test_shuffle__draws_every_order_of_four_within_5_sigma() -> None:
    stream = keyed_stream(bytes(32), "orders")
    counts: dict[tuple[int, ...], int] = {}
    for _ in range(24 * 300):
        order = tuple(stream.shuffle(range(4)))
        counts[order] = counts.get(order, 0) + 1
    sigma = (24 * 300 * (1 / 24) * (23 / 24)) ** 0.5
    assert len(counts) == 24
    assert all(abs(count - 300) < 5 * sigma for count in counts.values())


def test_keyed_stream__differs_by_key_and_domain() -> None:
    streams = [(bytes(32), "a"), (bytes(32), "b"), (bytes([1]) * 32, "a")]
    assert len({keyed_stream(*stream).take(16) for stream in streams}) == 3


def test_stream__refuses_what_it_cannot_give() -> None:
    stream = keyed_stream(bytes(32), "x")
    with pytest.raises(HashingError, match=r"range\(0\)"):
        stream.below(0)
    with pytest.raises(HashingError, match="-1 bytes"):
        stream.take(-1)
    with pytest.raises(HashingError, match="32 bytes, not 31"):
        keyed_stream(bytes(31), "x")


@given(values=st.lists(st.integers(0, (1 << 64) - 1), min_size=2, max_size=5))
def test_uint__orders_bytes_like_integers(values: list[int]) -> None:
    ordered = sorted(values)
    assert all((a < b) == (uint(a) < uint(b)) for a, b in pairwise(ordered))
    assert all(int.from_bytes(uint(value), "big") == value for value in values)


@pytest.mark.parametrize("value", [-1, 1 << 64])
def test_uint__refuses_what_does_not_fit(value: int) -> None:
    with pytest.raises(HashingError, match="does not fit"):
        uint(value)
