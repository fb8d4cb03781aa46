"""The bundle file: whole or absent, canonical, within limits."""

from __future__ import annotations

import os
import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node import bundle as bundle_module
from node.bundle import (
    MAGIC,
    VERSION,
    Bundle,
    BundleError,
    decode_bundle,
    make_bundle,
    named_answers,
    read_bundle,
    write_bundle,
)
from node.verify import verify_bundle
from protocol.codec import encode
from protocol.hashing import content_digest
from protocol.messages import Challenge, Reveal
from protocol.probes import probe_count
from protocol.report import VECTOR_BYTES
from protocol.statement import expect
from tests.support.certified_round import Fault, certified_round

SMALL = Bundle(
    MAGIC, VERSION, b"genesis", (), b"", b"", b"header", b"body", b"certificate", (memoryview(b"answers"),)
)


def test_written_bundle__is_read_back_as_it_was(tmp_path: Path) -> None:
    bundle = certified_round().bundle
    path = tmp_path / "round-0.dmr"
    size_bytes = write_bundle(path, bundle)
    assert path.stat().st_size == size_bytes
    again = read_bundle(path)
    assert again == bundle
    assert encode(again) == path.read_bytes()
    assert [entry.name for entry in tmp_path.iterdir()] == ["round-0.dmr"]


@given(st.binary(max_size=80), st.binary(max_size=80), st.lists(st.binary(max_size=50), max_size=5))
def test_any_bundle__decodes_to_itself(genesis: bytes, body: bytes, answers: list[bytes]) -> None:
    bundle = Bundle(MAGIC, VERSION, genesis, (), b"", b"", b"h", body, b"c", tuple(map(memoryview, answers)))
    assert decode_bundle(encode(bundle)) == bundle


@given(st.binary(max_size=200))
def test_arbitrary_bytes__are_no_bundle(data: bytes) -> None:
    with pytest.raises(BundleError):
        decode_bundle(data)
    with pytest.raises(BundleError, match="changed"):
        decode_bundle(encode(SMALL) + data + b"\x00")


def test_progress__grows_to_the_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_module, "_WRITE_BYTES", 10)
    told: list[tuple[int, int]] = []
    size_bytes = write_bundle(tmp_path / "a.dmr", SMALL, lambda done, total: told.append((done, total)))
    assert told == [(min(10 * step, size_bytes), size_bytes) for step in range(1, -(-size_bytes // 10) + 1)]


def test_failed_write__leaves_the_older_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.dmr"
    write_bundle(path, SMALL)
    before = path.read_bytes()

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(BundleError, match="No space left on device"):
        write_bundle(path, msgspec.structs.replace(SMALL, body=b"another"))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_interrupted_write__leaves_nothing(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_bundle(tmp_path / "a.dmr", SMALL, interrupt)
    assert list(tmp_path.iterdir()) == []


def test_older_file__is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.dmr"
    write_bundle(path, SMALL)
    other = msgspec.structs.replace(SMALL, body=b"another")
    write_bundle(path, other)
    assert read_bundle(path) == other


def test_other_suffix__is_refused_with_the_name_to_use(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"name it a\.dmr"):
        write_bundle(tmp_path / "a.zip", SMALL)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_not_there__is_said(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be written"):
        write_bundle(tmp_path / "missing" / "a.dmr", SMALL)


def test_bundle_above_the_limit__is_neither_written_nor_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.dmr"
    size_bytes = write_bundle(path, SMALL)
    monkeypatch.setattr(bundle_module, "BUNDLE_BYTES_MAX", size_bytes - 1)
    with pytest.raises(BundleError, match="at most"):
        read_bundle(path)
    monkeypatch.setattr(bundle_module, "BUNDLE_BYTES_MAX", 10)
    with pytest.raises(BundleError, match="at most"):
        write_bundle(tmp_path / "b.dmr", SMALL)
    assert list(tmp_path.iterdir()) == [path]


def test_folder_or_nothing_at_the_path__is_said(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.dmr"):
        with pytest.raises(BundleError, match="no file"):
            read_bundle(path)


def test_file_of_another_kind_or_version__is_named_as_such() -> None:
    with pytest.raises(BundleError, match="no report bundle"):
        decode_bundle(b"PK\x03\x04 some archive")
    with pytest.raises(BundleError, match="another version"):
        decode_bundle(encode(msgspec.structs.replace(SMALL, version=VERSION + 1)))
    with pytest.raises(BundleError, match="no report bundle"):
        decode_bundle(encode(msgspec.structs.replace(SMALL, magic="something else")))


def test_bundle_cut_anywhere__is_refused() -> None:
    data = encode(certified_round().bundle)
    lengths = [*range(200), *random.Random(1).sample(range(len(data)), 200), len(data) - 1]
    for length in lengths:
        with pytest.raises(BundleError):
            decode_bundle(data[:length])


def test_longer_encoding_of_the_same_value__is_refused() -> None:
    data = encode(SMALL)
    body = encode(b"body")
    longer = data.replace(body, b"\xc5\x00\x04" + b"body")  # a 16-bit length where 8 bits do
    assert longer != data
    with pytest.raises(BundleError, match="canonical"):
        decode_bundle(longer)


def test_equal_answers_of_two_encoders__are_held_once() -> None:
    copied = certified_round(fault=Fault.COPY)
    assert len(copied.body.reveals) == 4
    assert len(copied.bundle.answers) == 3 * 3
    assert verify_bundle(copied.bundle, copied.genesis.network_id).steps


def test_answers__are_in_order_of_encoder_and_wave() -> None:
    honest = certified_round()
    revealed = [names for names in honest.task.answers if names is not None]
    assert [content_digest(data) for data in honest.bundle.answers] == [
        n for names in revealed for n in names
    ]
    sizes_bytes = named_answers(honest.bundle.body, honest.genesis.network_id)
    probes = probe_count(64, 1)
    assert [*sizes_bytes.values()] == [64 * VECTOR_BYTES, 64 * VECTOR_BYTES, (64 + probes) * VECTOR_BYTES] * 4


def test_answers_no_longer_held__are_named() -> None:
    honest = certified_round()
    names = [*named_answers(honest.bundle.body, honest.genesis.network_id)]
    kept = {name: data for name, data in honest.blobs.items() if name != names[5]}
    with pytest.raises(BundleError, match=names[5].hex()[:16]):
        make_bundle(
            honest.genesis, (), b"", b"", honest.header, encode(honest.body), honest.certificate, kept.get
        )


def test_body_that_is_none__is_refused_before_answers_are_looked_up() -> None:
    honest = certified_round()
    with pytest.raises(BundleError, match="body cannot be read"):
        make_bundle(honest.genesis, (), b"", b"", honest.header, b"\x90", honest.certificate, {}.get)


def test_statement_in_anothers_place__is_refused() -> None:
    honest = certified_round()
    for changes in ({"challenge": honest.body.locks[0]}, {"reveals": honest.body.commits[:1]}):
        body = encode(msgspec.structs.replace(honest.body, **changes))
        with pytest.raises(BundleError, match="other statements"):
            named_answers(body, honest.genesis.network_id)


def test_one_answer_of_two_sizes__is_refused() -> None:
    honest = certified_round()
    network_id = honest.genesis.network_id
    dealt = expect(honest.body.challenge, network_id, Challenge).body
    longer = msgspec.structs.replace(dealt.waves[1], views=65)
    told = msgspec.structs.replace(dealt, waves=(dealt.waves[0], longer, dealt.waves[2]))
    reveal = expect(honest.body.reveals[0], network_id, Reveal)
    same = msgspec.structs.replace(reveal.body, answers=(bytes(32), bytes(32), bytes(32)))
    body = msgspec.structs.replace(
        honest.body,
        challenge=honest.sign(honest.header.signer, told),
        reveals=(honest.sign(reveal.signer, same),),
    )
    with pytest.raises(BundleError, match="two sizes"):
        named_answers(encode(body), network_id)
