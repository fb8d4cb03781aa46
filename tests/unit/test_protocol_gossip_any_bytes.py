"""Whatever is heard, in whatever order: a verdict, never an error."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.messages import (
    BODIES,
    Body,
    Evidence,
)
from protocol.verdict import Verdict
from tests.support.hearer import (
    ACCEPTED,
    ALICE,
    AT,
    BOB,
    CAROL,
    DAVE,
    HONEST,
    ROUND,
    Listener,
    sign,
)
from tests.support.record_strategies import records

SAID = [statement.data for statement in ROUND.said] + list(ACCEPTED.values())


@settings(max_examples=150)
@given(data=st.data())
def test_mutated_envelope__never_raises_and_is_never_accepted(data: st.DataObject) -> None:
    original = data.draw(st.sampled_from(SAID))
    mutated = bytearray(original)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(mutated) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "insert", "splice"])):
            case "flip":
                mutated[place] ^= data.draw(st.integers(1, 255))
            case "cut":
                del mutated[place : place + data.draw(st.integers(1, 40))]
            case "insert":
                mutated[place:place] = data.draw(st.binary(min_size=1, max_size=40))
            case _:
                other = data.draw(st.sampled_from(SAID))
                mutated[place:] = other[place:]
        if not mutated:
            break
    judgement = Listener().hear(bytes(mutated))
    if bytes(mutated) not in SAID:
        assert judgement.verdict is not Verdict.ACCEPT
    assert judgement.reason or judgement.verdict is Verdict.ACCEPT


@pytest.mark.parametrize("kind", BODIES.values(), ids=lambda kind: kind.__name__)
@settings(max_examples=12)
@given(data=st.data())
def test_any_body_a_member_can_sign__gets_a_verdict(kind: type[Body], data: st.DataObject) -> None:
    body = data.draw(records(kind))
    if not isinstance(body, Evidence) and data.draw(st.booleans()):
        body = msgspec.structs.replace(body, at=AT)
    key = data.draw(st.sampled_from([ALICE, BOB, CAROL, DAVE]))
    listener = Listener()
    judgement = listener.hear(sign(key, body))
    assert isinstance(judgement.verdict, Verdict)
    if judgement.verdict is Verdict.ACCEPT:
        again = listener.hear(sign(key, body))
        assert again.verdict is Verdict.IGNORE


@given(data=st.binary(max_size=200))
def test_any_bytes__are_rejected(data: bytes) -> None:
    assert Listener().hear(data).verdict is Verdict.REJECT


@settings(max_examples=30)
@given(order=st.permutations(range(len(SAID))))
def test_honest_statements__are_accepted_in_any_order(order: list[int]) -> None:
    """All but those that repeat a certificate or evidence already known."""
    listener = Listener()
    honest = [data for data in (SAID[number] for number in order) if data in HONEST]
    assert all(listener.hear(data).verdict is Verdict.ACCEPT for data in honest)
    assert len(honest) == len(HONEST)
