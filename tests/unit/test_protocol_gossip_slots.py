"""One statement a slot: the second is neither forwarded nor held against who sent it."""

from __future__ import annotations

import pytest

from protocol import certificates, evidence
from protocol.evidence import equivocation
from protocol.messages import (
    Body,
)
from protocol.verdict import Verdict
from tests.support.hearer import (
    ALICE,
    BOB,
    CAROL,
    GENESIS,
    ROUND,
    Listener,
    attestation,
    certificate,
    certificate_of,
    challenge,
    changed,
    dispute,
    lock,
    report,
    sign,
    two_faced,
)

SECOND = {
    "a second challenge": (ROUND.challenge.data, challenge(wave_key=bytes(32))),
    "a second lock": (ROUND.locks[1].data, lock(2, next_wave_key=bytes(32))),
    "a second report": (ROUND.header.data, report(body=bytes(32))),
    "a second commit": (
        ROUND.commit(CAROL, 2).data,
        sign(CAROL, changed(ROUND.commit(CAROL, 2).body, commitment=bytes(32))),
    ),
    "a second reveal": (
        ROUND.reveal(CAROL).data,
        sign(CAROL, changed(ROUND.reveal(CAROL).body, lock=bytes(32))),
    ),
    "a second attestation": (attestation(BOB, "one").data, attestation(BOB, "other").data),
    "a second dispute": (sign(BOB, dispute()), sign(BOB, dispute("and another thing"))),
    "a certificate announced again": (sign(ALICE, certificate()), sign(BOB, certificate())),
    "a certificate with other votes": (
        ROUND.certificate.data,
        sign(ALICE, certificate_of(*GENESIS.validators)),
    ),
    "evidence found by another": (sign(BOB, two_faced(ALICE)), sign(CAROL, two_faced(ALICE))),
    "more evidence of the same round": (
        sign(BOB, two_faced(ALICE)),
        sign(BOB, equivocation(attestation(ALICE, "one"), attestation(ALICE, "third"))),
    ),
}


@pytest.mark.parametrize(("first", "second"), SECOND.values(), ids=SECOND.keys())
def test_second_statement_for_a_slot__is_neither_forwarded_nor_held_against_who_sent_it(
    first: bytes, second: bytes
) -> None:
    listener = Listener()
    assert listener.hear(first).verdict is Verdict.ACCEPT
    judgement = listener.hear(second)
    assert (judgement.verdict, judgement.reason) == (
        Verdict.IGNORE,
        "its slot is taken by another statement",
    )
    # Handed over, so that the node can make evidence of two votes.
    assert judgement.statement is not None
    assert judgement.statement.data == second
    # A node that hears them the other way round keeps the other one.
    other = Listener()
    assert other.hear(second).verdict is Verdict.ACCEPT
    assert other.hear(first).verdict is Verdict.IGNORE


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (ROUND.locks[0].data, ROUND.locks[1].data),
        (ROUND.commit(CAROL, 1).data, ROUND.commit(CAROL, 2).data),
        (attestation(ALICE).data, attestation(BOB).data),
        (attestation(BOB).data, sign(BOB, dispute())),
        (sign(BOB, two_faced(ALICE)), sign(BOB, two_faced(BOB))),
    ],
    ids=["waves", "commits of waves", "keys", "vote and dispute", "offenders"],
)
def test_statements_for_different_slots__are_both_accepted(first: bytes, second: bytes) -> None:
    listener = Listener()
    assert [listener.hear(data).verdict for data in (first, second)] == [Verdict.ACCEPT] * 2


@pytest.mark.parametrize("body", [ROUND.certificate.body, two_faced(ALICE)], ids=["certificate", "evidence"])
def test_costly_proof__is_not_looked_at_before_the_signature_of_who_brings_it(
    body: Body, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else anybody could make everybody verify thousands of signatures for one forged message."""

    def never(*_: object) -> bool:
        raise AssertionError("an inner signature was verified")

    monkeypatch.setattr(certificates, "verify", never)
    monkeypatch.setattr(evidence, "verify_signature", never)
    assert Listener().hear(ROUND.forged(BOB, body).data).reason == "its signature is not its signer's"
    with pytest.raises(AssertionError, match="an inner signature"):
        Listener().hear(sign(BOB, body))


def test_accepted_statements__are_bounded_by_the_slots_of_the_members() -> None:
    """One member repeating itself in other words gets one message through."""
    listener = Listener()
    said = [sign(BOB, dispute(str(n))) for n in range(20)]
    said += [sign(BOB, equivocation(attestation(BOB, "0"), attestation(BOB, str(n)))) for n in range(1, 20)]
    assert [listener.hear(data).verdict for data in said].count(Verdict.ACCEPT) == 2
    assert len(listener.slots) == 2
