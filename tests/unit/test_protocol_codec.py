"""The codec: one encoding for one value, everything else is refused, and refusing costs nothing."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.batch import WavePayload
from protocol.codec import CodecError, Natural, Record, decode, encode
from protocol.evidence import equivocation
from protocol.genesis import GenesisContent
from protocol.messages import (
    ATTESTATIONS_MAX,
    BODIES,
    ENCODERS_MAX,
    Attestation,
    AttestationRef,
    Certificate,
    Challenge,
    CommitRef,
    Dispute,
    Kind,
    Lock,
)
from protocol.report import ReportBody
from protocol.schedule import ShardRound
from protocol.statement import ENVELOPE_BYTES_MAX, Envelope, StatementError, expect, parse, verify_signature
from tests.support.record_strategies import records
from tests.support.specimens import NETWORK_ID, SEED, signed, specimens

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "messages.json").read_text())
KINDS = [*BODIES.values(), Envelope, GenesisContent, ReportBody, WavePayload]
EVERY_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
MIB = 1 << 20


class Texts(Record, frozen=True):
    """A record without any limit of its own."""

    number: Natural
    texts: tuple[str, ...]


@EVERY_KIND
@settings(max_examples=8)
@given(data=st.data())
def test_record__round_trips_and_has_one_encoding(kind: type, data: st.DataObject) -> None:
    record = data.draw(records(kind))
    encoded = encode(record)
    assert decode(encoded, kind, size_bytes_max=MIB) == record
    assert encode(decode(encoded, kind, size_bytes_max=MIB)) == encoded


@EVERY_KIND
@settings(max_examples=8)
@given(data=st.data())
def test_changed_byte__is_refused_or_another_record(kind: type, data: st.DataObject) -> None:
    record = data.draw(records(kind))
    encoded = bytearray(encode(record))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        other: object = decode(bytes(encoded), kind, size_bytes_max=MIB)
    except CodecError:
        return
    assert other != record
    assert encode(other) == bytes(encoded)


def sloppy(value: Any, looseness: dict[type, Callable[[Any], bytes]]) -> bytes:
    """Encode as `encode` does, but the types in `looseness` in a longer form that means the same."""
    kind = type(value)
    if isinstance(value, list):
        head = looseness[list](value) if list in looseness else array_head(len(value))
        return head + b"".join(sloppy(element, looseness) for element in value)
    return looseness[kind](value) if kind in looseness else encode(value)


def array_head(count: int) -> bytes:
    return encode([None] * count)[:-count] if count else encode([])


LONGER: dict[str, dict[type, Callable[[Any], bytes]]] = {
    "integers of 8 bytes": {int: lambda value: b"\xcf" + value.to_bytes(8, "big")},
    "signed integers of 8 bytes": {int: lambda value: b"\xd3" + value.to_bytes(8, "big")},
    "integers as floats": {int: lambda value: encode(float(value))},
    "bytes with 4 bytes of length": {bytes: lambda value: b"\xc6" + len(value).to_bytes(4, "big") + value},
    "bytes as text": {bytes: lambda value: b"\xda" + len(value).to_bytes(2, "big") + value},
    "bytes as an extension": {bytes: lambda value: b"\xc8" + len(value).to_bytes(2, "big") + b"\x05" + value},
    "text with 4 bytes of length": {
        str: lambda value: b"\xdb" + len(value.encode()).to_bytes(4, "big") + value.encode()
    },
    "arrays with 4 bytes of length": {list: lambda value: b"\xdd" + len(value).to_bytes(4, "big")},
    "arrays as maps": {list: lambda value: b"\xdf" + len(value).to_bytes(4, "big")},
}


@EVERY_KIND
@settings(max_examples=3)
@given(data=st.data())
def test_longer_form_of_the_same_values__is_refused(kind: type, data: st.DataObject) -> None:
    encoded = encode(data.draw(records(kind)))
    refused = 0
    for looseness in LONGER.values():
        loose = sloppy(msgspec.msgpack.decode(encoded), looseness)
        if loose == encoded:
            continue  # nothing of this type in it
        with pytest.raises(CodecError):
            decode(loose, kind, size_bytes_max=MIB)
        refused += 1
    assert refused >= 2  # arrays are in everything


def test_sloppy_encoder_without_looseness__is_the_codec() -> None:
    """Else the test above could pass by encoding nonsense."""
    for statement in specimens().values():
        encoded = encode(statement.body)
        assert sloppy(msgspec.msgpack.decode(encoded), {}) == encoded
        longer = sloppy(msgspec.msgpack.decode(encoded), LONGER["arrays with 4 bytes of length"])
        assert msgspec.msgpack.decode(longer) == msgspec.msgpack.decode(encoded)
        assert longer != encoded


@EVERY_KIND
@settings(max_examples=3)
@given(data=st.data())
def test_other_number_of_fields__is_refused(kind: type, data: st.DataObject) -> None:
    fields = msgspec.msgpack.decode(encode(data.draw(records(kind))))
    for wrong in ([*fields, 0], [*fields, None], fields[:-1], []):
        with pytest.raises(CodecError):
            decode(msgspec.msgpack.encode(wrong), kind, size_bytes_max=MIB)


@EVERY_KIND
@settings(max_examples=3)
@given(data=st.data())
def test_trailing_and_missing_bytes__are_refused(kind: type, data: st.DataObject) -> None:
    encoded = encode(data.draw(records(kind)))
    for wrong in (encoded + b"\x00", encoded + encoded, encoded[:-1], encoded[1:], b""):
        with pytest.raises(CodecError):
            decode(wrong, kind, size_bytes_max=MIB)


@pytest.mark.parametrize(
    "data",
    [b"\xa1\xff", b"\xa2\xc0\xaf", b"\xa3\xed\xa0\x80", b"\xa1\x80"],
    ids=["no lead byte", "overlong", "surrogate", "continuation"],
)
def test_text_that_is_not_utf8__is_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode(b"\x92\x00\x91" + data, Texts, size_bytes_max=MIB)
    assert decode(b"\x92\x00\x91\xa1a", Texts, size_bytes_max=MIB) == Texts(0, ("a",))


BOMBS = {
    "a mebibyte of empty arrays": b"\x90" * MIB,
    "arrays nested a million deep": b"\x91" * MIB,
    "an array of four thousand million": b"\xdd\xff\xff\xff\xff",
    "such an array in the last field": b"\x92\x00\xdd\xff\xff\xff\xff",
    "a map of four thousand million": b"\xdf\xff\xff\xff\xff",
    "text of four gibibytes": b"\x92\x00\x91\xdb\xff\xff\xff\xff",
    "bytes of four gibibytes": b"\x92\x00\x91\xc6\xff\xff\xff\xff",
    "an extension of four gibibytes": b"\x92\x00\x91\xc9\xff\xff\xff\xff\x01",
    "nested maps": b"\x81\xa1a" * (MIB // 3),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
@pytest.mark.parametrize("kind", [Texts, Envelope, ReportBody, GenesisContent])
def test_bomb__is_refused_without_time_or_memory(kind: type, bomb: bytes) -> None:
    tracemalloc.start()
    began_s = time.process_time()
    with pytest.raises(CodecError):
        decode(bomb, kind, size_bytes_max=MIB)
    elapsed_s = time.process_time() - began_s
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert elapsed_s < 0.05
    assert peak_bytes < 200_000


def test_size_limit__counts_every_byte() -> None:
    encoded = encode(Texts(1, ("word",)))
    assert decode(encoded, Texts, size_bytes_max=len(encoded)) == Texts(1, ("word",))
    with pytest.raises(CodecError, match=f"of {len(encoded)} bytes exceeds the limit of {len(encoded) - 1}"):
        decode(encoded, Texts, size_bytes_max=len(encoded) - 1)


def test_limits_of_fields__hold_at_their_edges() -> None:
    at = ShardRound(0, 0, 0)
    for number, accepted in ((2**53 - 1, True), (2**53, False)):
        encoded = encode(ShardRound(number, 0, 0))
        if accepted:
            assert decode(encoded, ShardRound, size_bytes_max=MIB).epoch == number
        else:
            with pytest.raises(CodecError):
                decode(encoded, ShardRound, size_bytes_max=MIB)
    for bad in (
        encode(ShardRound(-1, 0, 0)),
        encode(Attestation(at, bytes(31))),
        encode(Attestation(at, bytes(33))),
        encode(Attestation(at, b"")),
    ):
        with pytest.raises(CodecError):
            decode(bad, ShardRound if len(bad) < 9 else Attestation, size_bytes_max=MIB)
    for length, accepted in ((1, True), (64, True), (0, False), (65, False)):
        encoded = encode(Dispute(at, bytes(32), "t" * length, b"", 0, ""))
        if accepted:
            assert decode(encoded, Dispute, size_bytes_max=MIB).term == "t" * length
        else:
            with pytest.raises(CodecError):
                decode(encoded, Dispute, size_bytes_max=MIB)


# -- statements --------------------------------------------------------------------------------------------


def test_vectors__hold_one_statement_of_every_kind() -> None:
    assert [row["kind"] for row in VECTORS] == [kind.value for kind in Kind]
    made = specimens()
    for row in VECTORS:
        statement = made[Kind(row["kind"])]
        assert row["network_id"] == NETWORK_ID.hex()
        assert row["seed"] == SEED.hex()
        assert statement.data.hex() == row["envelope"]
        assert statement.digest.hex() == row["digest"]
        assert statement.signature.hex() == row["signature"]
        parsed = parse(bytes.fromhex(row["envelope"]), NETWORK_ID)
        assert parsed == statement
        assert parsed.kind.value == row["kind"]
        assert verify_signature(parsed)


def test_digest_of_a_statement__binds_network_kind_signer_and_body() -> None:
    statement = specimens()[Kind.ATTESTATION]
    envelope = decode(statement.data, Envelope, size_bytes_max=MIB)
    changes: list[dict[str, Any]] = [
        {"signer": bytes(32)},
        {"body": encode(Attestation(ShardRound(0, 0, 0), bytes(32)))},
    ]
    for change in changes:
        other = parse(encode(msgspec.structs.replace(envelope, **change)), NETWORK_ID)
        assert other.digest != statement.digest
        assert not verify_signature(other)
    elsewhere = parse(encode(msgspec.structs.replace(envelope, network_id=bytes(32))), bytes(32))
    assert elsewhere.digest != statement.digest
    assert not verify_signature(elsewhere)


def test_statement__is_refused_for_another_network_version_kind_or_signature() -> None:
    statement = specimens()[Kind.ATTESTATION]
    envelope = decode(statement.data, Envelope, size_bytes_max=MIB)
    with pytest.raises(StatementError, match="another network"):
        parse(statement.data, bytes(32))
    with pytest.raises(StatementError, match="version 2, this node speaks 1"):
        parse(encode(msgspec.structs.replace(envelope, version=2)), NETWORK_ID)
    with pytest.raises(StatementError, match="not a Challenge"):
        parse(encode(msgspec.structs.replace(envelope, kind=Kind.CHALLENGE)), NETWORK_ID)
    with pytest.raises(StatementError, match="an envelope of kind attestation where challenge belongs"):
        expect(statement.data, NETWORK_ID, Challenge)
    unsigned = encode(msgspec.structs.replace(envelope, signature=bytes(64)))
    with pytest.raises(StatementError, match="is not its signer's"):
        expect(unsigned, NETWORK_ID, Attestation)
    assert expect(statement.data, NETWORK_ID, Attestation) == statement


def test_statement_with_a_sloppy_body__is_refused_although_its_envelope_is_canonical() -> None:
    statement = specimens()[Kind.ATTESTATION]
    envelope = decode(statement.data, Envelope, size_bytes_max=MIB)
    loose = sloppy(msgspec.msgpack.decode(envelope.body), LONGER["integers of 8 bytes"])
    with pytest.raises(StatementError, match="not canonically encoded"):
        parse(encode(msgspec.structs.replace(envelope, body=loose)), NETWORK_ID)


def test_largest_honest_statements__fit_an_envelope() -> None:
    """A lock of the largest shard, evidence of two of them, a certificate of all validators."""
    at = ShardRound(2**53 - 1, 2**53 - 1, 2**53 - 1)
    commits = tuple(CommitRef(n.to_bytes(32, "big"), bytes(32)) for n in range(ENCODERS_MAX))
    locks = [signed(Lock(at, 1, bytes([n]) * 32, commits, bytes(32))) for n in (1, 2)]
    votes = tuple(AttestationRef(n.to_bytes(32, "big"), bytes(64)) for n in range(ATTESTATIONS_MAX))
    for statement in (
        *locks,
        signed(equivocation(locks[0], locks[1])),
        signed(Certificate(at, bytes(32), votes)),
    ):
        assert len(statement.data) <= ENVELOPE_BYTES_MAX
        assert parse(statement.data, NETWORK_ID) == statement
