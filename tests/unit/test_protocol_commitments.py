"""Commits and reveals: a commitment binds everything it names, a reveal is cut without copying."""

from __future__ import annotations

import json
from dataclasses import fields
from functools import partial
from operator import ne
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.commitments import (
    ANSWER_BYTES,
    SALTS_BYTES,
    RevealError,
    RevealParts,
    ViewCounts,
    check_reveal,
    commitment,
    pack_reveal,
    reveal_size_bytes,
    split_reveal,
)
from protocol.hashing import keyed_stream

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "commitments.json").read_text())
BYTES32 = st.binary(min_size=32, max_size=32)
COUNTS = st.integers(0, (1 << 64) - 1)
VIEWS = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 4))
PLACE: dict[str, Any] = {"network": b"n" * 32, "encoder": b"e" * 32, "epoch": 1, "round": 2, "shard": 3}
LOCKS = (b"1" * 32, b"2" * 32, b"3" * 32)


def reveal_of(views: ViewCounts, seed: bytes = bytes(32)) -> tuple[bytes, tuple[bytes, ...]]:
    """A reveal with seeded salts and answers, and the three commitments it keeps."""
    stream = keyed_stream(seed, "test reveal")
    salts = [stream.take(32) for _ in views]
    answers = [stream.take(ANSWER_BYTES * count) for count in views]
    commitments = tuple(
        commitment(salt, wave_answers, **PLACE, wave=wave, lock=lock)
        for wave, salt, wave_answers, lock in zip((1, 2, 3), salts, answers, LOCKS, strict=True)
    )
    return pack_reveal(salts, answers), commitments


def test_commitment__matches_the_vectors() -> None:
    for row in VECTORS:
        data: dict[str, Any] = {
            name: bytes.fromhex(value) if isinstance(value, str) else value for name, value in row.items()
        }
        expected = data.pop("commitment")
        assert commitment(data.pop("salt"), data.pop("answers"), **data) == expected


@given(
    named=st.fixed_dictionaries(
        {
            "salt": BYTES32,
            "answers": st.binary(max_size=50),
            "network": BYTES32,
            "encoder": BYTES32,
            "epoch": COUNTS,
            "round": COUNTS,
            "shard": COUNTS,
            "wave": COUNTS,
            "lock": BYTES32,
        }
    ),
    data=st.data(),
)
def test_commitment__changes_with_everything_it_binds(named: dict[str, Any], data: st.DataObject) -> None:
    base = commitment(**named)
    assert base == commitment(**{**named, "answers": memoryview(named["answers"])})
    for name, value in named.items():
        kinds = (
            st.binary(max_size=50) if name == "answers" else BYTES32 if isinstance(value, bytes) else COUNTS
        )
        other = data.draw(kinds.filter(partial(ne, value)), label=name)
        assert commitment(**{**named, name: other}) != base


@pytest.mark.parametrize("name", ["salt", "network", "encoder", "lock"])
def test_commitment__refuses_parts_that_are_not_32_bytes(name: str) -> None:
    named = {"salt": bytes(32), "answers": b"", "wave": 1, "lock": bytes(32), **PLACE}
    with pytest.raises(RevealError, match=f"the {name} of a commitment has 32 bytes, not 31"):
        commitment(**{**named, name: bytes(31)})


@given(views=VIEWS, seed=BYTES32)
def test_split_reveal__undoes_pack_reveal(views: ViewCounts, seed: bytes) -> None:
    stream = keyed_stream(seed, "parts")
    salts = [stream.take(32) for _ in views]
    answers = [stream.take(ANSWER_BYTES * count) for count in views]
    blob = pack_reveal(salts, answers)
    assert len(blob) == reveal_size_bytes(views) == SALTS_BYTES + ANSWER_BYTES * sum(views)
    parts = split_reveal(blob, views)
    assert [bytes(salt) for salt in parts.salts] == salts
    assert [bytes(wave) for wave in parts.answers] == answers
    assert bytes(parts.array) == b"".join(answers)


def test_split_reveal__copies_nothing_and_cannot_be_written_through() -> None:
    blob, _ = reveal_of((1, 1, 1))
    writable = bytearray(blob)
    parts = split_reveal(writable, (1, 1, 1))
    writable[SALTS_BYTES] ^= 1
    assert parts.array[0] == parts.answers[0][0] == writable[SALTS_BYTES]
    members = [parts.array, *parts.salts, *parts.answers]
    assert all(member.readonly and member.obj is writable for member in members)
    assert {field.name for field in fields(RevealParts)} == {"array", "salts", "answers"}


@given(views=VIEWS, extra=st.sampled_from([-1, 1, 4, ANSWER_BYTES, -SALTS_BYTES]))
def test_split_reveal__refuses_any_other_size(views: ViewCounts, extra: int) -> None:
    with pytest.raises(RevealError, match="this one"):
        split_reveal(bytes(reveal_size_bytes(views) + extra), views)


@given(views=VIEWS, seed=BYTES32)
def test_check_reveal__finds_nothing_in_an_honest_reveal(views: ViewCounts, seed: bytes) -> None:
    blob, commitments = reveal_of(views, seed)
    assert check_reveal(blob, views, commitments, **PLACE, locks=LOCKS) is None


@given(views=VIEWS, at=st.integers(0, 1 << 30))
def test_check_reveal__names_the_wave_of_a_flipped_bit(views: ViewCounts, at: int) -> None:
    blob, commitments = reveal_of(views)
    changed = bytearray(blob)
    at %= 8 * len(changed)
    changed[at // 8] ^= 1 << at % 8
    byte = at // 8
    if byte < SALTS_BYTES:
        wave = byte // 32 + 1
    else:
        view = (byte - SALTS_BYTES) // ANSWER_BYTES
        wave = 1 if view < views[0] else 2 if view < views[0] + views[1] else 3
    assert check_reveal(changed, views, commitments, **PLACE, locks=LOCKS) == wave


@pytest.mark.parametrize("wave", [1, 2, 3])
def test_check_reveal__names_the_wave_answered_under_another_lock(wave: int) -> None:
    blob, commitments = reveal_of((1, 1, 2))
    locks = [b"x" * 32 if number == wave else lock for number, lock in enumerate(LOCKS, start=1)]
    assert check_reveal(blob, (1, 1, 2), commitments, **PLACE, locks=locks) == wave


def test_check_reveal__refuses_answers_moved_between_waves() -> None:
    blob, commitments = reveal_of((1, 2, 1))
    assert check_reveal(blob, (2, 1, 1), commitments, **PLACE, locks=LOCKS) == 1
    assert check_reveal(blob, (1, 1, 2), commitments, **PLACE, locks=LOCKS) == 2


def test_check_reveal__refuses_another_encoders_reveal_because_commits_bind_the_key() -> None:
    blob, commitments = reveal_of((1, 1, 1))
    thief = {**PLACE, "encoder": b"t" * 32}
    assert check_reveal(blob, (1, 1, 1), commitments, **thief, locks=LOCKS) == 1


def test_reveal__refuses_sizes_that_cannot_be() -> None:
    blob, commitments = reveal_of((1, 1, 1))
    with pytest.raises(RevealError, match="not 2 and 3"):
        check_reveal(blob, (1, 1, 1), commitments[:2], **PLACE, locks=LOCKS)
    with pytest.raises(RevealError, match="zero or more"):
        reveal_size_bytes((1, -1, 1))
    with pytest.raises(RevealError, match="no multiple"):
        pack_reveal([bytes(32)] * 3, [b"", b"123", b""])
    with pytest.raises(RevealError, match="salt of wave 2"):
        pack_reveal([bytes(32), bytes(31), bytes(32)], [b""] * 3)
    with pytest.raises(RevealError, match="not 3 and 2"):
        pack_reveal([bytes(32)] * 3, [b""] * 2)
