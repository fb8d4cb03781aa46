"""Whatever a lying validator changes in what it tells, nothing false verifies, and no lie is a crash."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.client import ClientError, VerificationFailed
from protocol.codec import encode
from protocol.epochs.agreed import CertifiedRecord
from tests.support.lying_api import ITEM, at, client_of, only_truth, shaped_once, verified
from tests.support.told_by_api import Chunks, ToldByApi, base64_of, proof_of, world

pytestmark = pytest.mark.usefixtures("shaped_once")
__all__ = ["shaped_once"]

junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=40),
    st.binary(max_size=64).map(lambda data: data.hex()),
    st.binary(max_size=300).map(base64_of),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)


@st.composite
def flipped(draw: st.DrawFn, data: bytes) -> bytes:
    """Other bytes of the same kind."""
    if not data:
        return draw(st.binary(min_size=1, max_size=9))
    place = draw(st.integers(0, len(data) - 1))
    how = draw(st.sampled_from(["flip", "cut", "longer", "other"]))
    if how == "flip":
        return data[:place] + bytes([data[place] ^ draw(st.integers(1, 255))]) + data[place + 1 :]
    if how == "cut":
        return data[:place]
    return (
        data + draw(st.binary(min_size=1, max_size=70)) if how == "longer" else draw(st.binary(max_size=200))
    )


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """Another value, near or far."""
    if draw(st.integers(0, 5)) == 0:
        return draw(junk)
    match value:
        case int():
            return value + draw(st.sampled_from([-1, 1, 2**31, 2**53, -(2**40)]))
        case str() if len(value) == 64:
            return draw(flipped(bytes.fromhex(value))).hex()
        case str() if len(value) > 200:
            return base64_of(draw(flipped(base64.b64decode(value))))
        case str():
            return draw(flipped(value.encode())).decode(errors="replace")
        case list():
            others = list(value)
            how = draw(st.sampled_from(["drop", "double", "swap", "flip"]))
            place = draw(st.integers(0, len(others) - 1))
            if how == "drop":
                del others[place]
            elif how == "double":
                others.insert(place, others[place])
            elif how == "swap":
                others.reverse()
            else:
                others[place] = draw(changed(others[place]))
            return others
        case dict():
            name = draw(st.sampled_from(sorted(value)))
            return {**value, name: draw(changed(value[name]))}
    return draw(junk)


@st.composite
def false_document(draw: st.DrawFn, honest: dict[str, Any]) -> Any:
    """An honest document with some fields changed or gone."""
    document = json.loads(json.dumps(honest))
    for name in draw(st.lists(st.sampled_from(sorted(document)), min_size=1, max_size=3, unique=True)):
        if draw(st.integers(0, 9)) == 0:
            del document[name]
        else:
            document[name] = draw(changed(document[name]))
    return document


@settings(max_examples=40)
@given(told=false_document(proof_of(world(), ITEM)))
def test_any_change_of_the_proof__is_refused_or_changes_nothing(told: Any) -> None:
    only_truth(at("/proof", lambda _: told), "raw")


@settings(max_examples=20)
@given(told=false_document(ToldByApi().item(ITEM, "newest")))
def test_any_change_of_the_item__is_refused_or_changes_nothing(told: Any) -> None:
    only_truth(at(ITEM.hex(), lambda _: told))


@settings(max_examples=40)
@given(
    end=st.sampled_from(["/genesis", "/1/record", "/2/record", "/3/record", "/content", "/moments"]),
    data=st.data(),
)
def test_any_change_of_what_is_fetched__is_refused_or_changes_nothing(end: str, data: st.DataObject) -> None:
    only_truth(at(end, lambda answer: data.draw(flipped(answer))))


@settings(max_examples=15)
@given(number=st.sampled_from([1, 2, 3]), data=st.data())
def test_any_field_of_a_record__is_refused_though_signed_by_some(number: int, data: st.DataObject) -> None:
    honest = world().records[number]
    votes = list(honest.certificate.precommits)
    del votes[data.draw(st.integers(0, 3))]
    del votes[data.draw(st.integers(0, 2))]
    few = msgspec.structs.replace(honest.certificate, precommits=tuple(votes))
    record = data.draw(flipped(honest.record))
    for told in (CertifiedRecord(honest.record, few), CertifiedRecord(record, honest.certificate)):
        with pytest.raises((VerificationFailed, ClientError)):
            verified(at(f"/{number}/record", lambda _, told=told: encode(told)), "raw")


@settings(max_examples=15)
@given(status=st.sampled_from([200, 200, 204, 301, 400, 404, 418, 500]), body=st.binary(max_size=300))
@example(status=200, body=b"[" * 100_000)
@example(status=200, body=b'{"a":' * 50_000)
@example(status=500, body=b'{"error":' * 9_000)
def test_any_bytes_as_an_answer__are_refused_in_a_sentence(status: int, body: bytes) -> None:
    for end in ("/proof", ITEM.hex(), "/genesis", "/3/record"):
        told = ToldByApi()
        told.lie = lambda path, answer, end=end: (
            httpx.Response(status, stream=Chunks(body)) if path.endswith(end) else answer
        )
        with client_of(told) as client, pytest.raises((ClientError, VerificationFailed)):
            client.verify_item(ITEM, space="raw")


@pytest.mark.slow
@settings(max_examples=1_500, deadline=None)
@given(
    end=st.sampled_from(["/proof", ITEM.hex()]),
    space=st.sampled_from(["raw", "newest"]),
    data=st.data(),
)
def test_any_changes_at_length__are_refused_or_change_nothing(
    end: str, space: str, data: st.DataObject
) -> None:
    only_truth(at(end, lambda answer: data.draw(false_document(answer))), space)
