"""No byte of a bundle is free: whichever is changed, the bundle is refused."""

from __future__ import annotations

import random
from collections.abc import Iterator

import msgspec
import pytest

from node.bundle import Bundle, BundleError, decode_bundle
from node.certified import Check, VerificationFailed
from node.verify import verify_bundle
from protocol.codec import encode
from protocol.report import EnvelopeBytes
from tests.support.certified_round import certified_round

CHEAP = {None, Check.NETWORK, Check.HEADER, Check.CERTIFICATE, Check.BODY, Check.ANSWERS}


def flipped(data: bytes, offset: int, bits: int) -> bytes:
    return data[:offset] + bytes([data[offset] ^ bits]) + data[offset + 1 :]


def refused_by(bundle: Bundle) -> Check:
    with pytest.raises(VerificationFailed) as failed:
        verify_bundle(bundle, certified_round().genesis.network_id)
    return failed.value.check


def envelopes() -> list[EnvelopeBytes]:
    body = certified_round().body
    return [body.challenge, *body.locks, *body.commits, *body.reveals]


def envelope_offsets(body: bytes) -> Iterator[int]:
    """Every place in the body that lies in a signed envelope."""
    for envelope in envelopes():
        start = body.index(envelope)
        yield from range(start, start + len(envelope))


@pytest.mark.parametrize(
    ("part", "check"),
    [("genesis", Check.NETWORK), ("header", Check.HEADER), ("certificate", Check.CERTIFICATE)],
)
def test_any_changed_byte_of_a_small_part__is_refused_by_its_check(part: str, check: Check) -> None:
    bundle = certified_round().bundle
    data: bytes = getattr(bundle, part)
    bits = random.Random(part)
    for offset in range(len(data)):
        changed = flipped(data, offset, bits.randint(1, 255))
        assert refused_by(msgspec.structs.replace(bundle, **{part: changed})) is check


def body_flips_are_refused(offsets: list[int]) -> None:
    bundle = certified_round().bundle
    bits = random.Random(len(offsets))
    for offset in offsets:
        changed = flipped(bundle.body, offset, bits.randint(1, 255))
        assert refused_by(msgspec.structs.replace(bundle, body=changed)) is Check.BODY


def test_changed_byte_of_an_envelope__is_refused() -> None:
    offsets = list(envelope_offsets(certified_round().bundle.body))
    body_flips_are_refused(random.Random(2).sample(offsets, 1_000))


@pytest.mark.slow
def test_any_changed_byte_of_any_envelope__is_refused() -> None:
    offsets = list(envelope_offsets(certified_round().bundle.body))
    assert len(offsets) > 5_000
    body_flips_are_refused(offsets)


def check_that_refuses(data: bytes) -> Check | None:
    """None when the file cannot even be read as a bundle. Fails when the file is accepted."""
    try:
        bundle = decode_bundle(data)
    except BundleError:
        return None
    return refused_by(bundle)


def test_changed_byte_anywhere_in_the_file__is_refused_before_anything_is_audited() -> None:
    data = bytearray(encode(certified_round().bundle))
    draw = random.Random(3)
    seen: set[Check | None] = set()
    for offset in [*range(30), *draw.sample(range(len(data)), 1_000)]:
        bits = draw.randint(1, 255)
        data[offset] ^= bits
        seen.add(check_that_refuses(bytes(data)))
        data[offset] ^= bits
    assert {Check.ANSWERS, Check.BODY, None} <= seen <= CHEAP


def test_changed_byte_of_an_envelope_that_everybody_certified__is_refused_without_scoring() -> None:
    honest = certified_round()
    body, draw = honest.body, random.Random(4)
    for envelope in envelopes():
        changed = flipped(envelope, draw.randrange(len(envelope)), draw.randint(1, 255))

        def swap(data: bytes, old: bytes = envelope, new: bytes = changed) -> bytes:
            return new if data == old else data

        forged = msgspec.structs.replace(
            body,
            challenge=swap(body.challenge),
            locks=tuple(map(swap, body.locks)),
            commits=tuple(map(swap, body.commits)),
            reveals=tuple(map(swap, body.reveals)),
        )
        assert forged != body
        assert refused_by(honest.certify(forged)) in {Check.BODY, Check.ANSWERS, Check.AUDIT}


def test_changed_byte_of_an_item_that_everybody_certified__is_refused_by_the_audit() -> None:
    honest = certified_round()
    draw = random.Random(5)
    for place in draw.sample(range(64), 12):
        item = honest.body.scored[place]
        data = flipped(item.data, draw.randrange(len(item.data)), draw.randint(1, 255))
        proof = (flipped(item.proof[0], draw.randrange(32), draw.randint(1, 255)), *item.proof[1:])
        for changes in ({"data": data}, {"proof": proof}, {"index": item.index ^ 1}):
            scored = list(honest.body.scored)
            scored[place] = msgspec.structs.replace(item, **changes)
            forged = msgspec.structs.replace(honest.body, scored=tuple(scored))
            assert refused_by(honest.certify(forged)) is Check.AUDIT
