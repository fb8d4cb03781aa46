"""The attester's transition table: what each event does in each phase, illegal and ignored ones included."""

from __future__ import annotations

import pytest

from protocol.hashing import content_digest
from protocol.messages import Dispute, Evidence, Offence
from protocol.report import Deviation
from protocol.rounds import AttesterPhase
from protocol.rounds import events as ev
from protocol.rounds.phases import AttesterPhase as A
from tests.support.driven import (
    AGREED,
    ALICE,
    AT,
    BOB,
    BODY,
    CAROL,
    CHALLENGE,
    ENCODED,
    HEADER,
    LOCKS,
    ROUND,
    SCORED,
    TO_RECOMPUTING,
    all_answers,
    answers,
    attester,
    changed,
    votes,
)
from tests.support.of_epochs import OF_EPOCHS
from tests.support.transitions import COLUMNS, Case, Outcome, Table, Told

DISAGREED = ev.Recomputed((Deviation("score", CAROL, 1_001),))
WAYS: dict[A, list[ev.Event]] = {
    A.WAITING: [],
    A.FETCHING: [HEADER],
    A.RECOMPUTING: TO_RECOMPUTING,
    A.ATTESTED: [*TO_RECOMPUTING, AGREED],
    A.DISPUTED: [*TO_RECOMPUTING, DISAGREED],
    A.EXPIRED: [HEADER, ev.TimerFired("expiry")],
}
LIE, LYING_BODY = ROUND.report(changed(ROUND.body, served=()))
FIRST = answers(CAROL)[0]
assert isinstance(FIRST, ev.Fetched)


def told_the_lie(phase: A) -> Told:
    """Where the report is on its way, it is the one with a false body."""
    event = ev.Fetched(content_digest(LYING_BODY), LYING_BODY)
    return Told(event, (ev.Received(LIE),) if phase is A.FETCHING else None)


def with_body(phase: A, event: ev.Event) -> Told:
    """Where the report is on its way, its body has come and the answers are awaited."""
    return Told(event, (HEADER, BODY) if phase is A.FETCHING else None)


def but_for_one_vote(phase: A) -> Told:
    """The vote that makes two thirds."""
    return Told(votes()[2], (*WAYS[phase], *votes()[:2]))


def after_certificate(phase: A, event: ev.Event) -> Told:
    """The votes have made a certificate, which nobody has announced."""
    return Told(event, (*WAYS[phase], *votes()))


TABLE = Table(
    make=attester,
    ways=WAYS,
    rows={
        "report": lambda _: HEADER,
        "report, another": lambda _: ev.Received(LIE),
        "report of another": lambda _: ev.Received(ROUND.sign(BOB, ROUND.header.body)),
        "attestation": lambda _: votes()[1],
        "attestation again": lambda phase: Told(votes()[1], (*WAYS[phase], votes()[1])),
        "attestation, the last needed": but_for_one_vote,
        "attestation, one more": lambda phase: Told(votes()[3], (*WAYS[phase], *votes()[:3])),
        "certificate": lambda _: ev.Received(ROUND.certificate),
        "certificate again": lambda phase: Told(
            ev.Received(ROUND.certificate), (*WAYS[phase], ev.Received(ROUND.certificate))
        ),
        "fetched body": lambda _: BODY,
        "fetched body, false": told_the_lie,
        "fetched body, after the votes": lambda phase: after_certificate(phase, BODY),
        "fetched answers": lambda phase: with_body(phase, FIRST),
        "fetched answers, the last awaited": lambda phase: Told(
            FIRST,
            (HEADER, BODY, *all_answers(CAROL), *answers(CAROL)[1:]) if phase is A.FETCHING else None,
        ),
        "fetched answers before the body": lambda _: FIRST,
        "fetched in another size": lambda phase: with_body(phase, ev.Fetched(FIRST.digest, b"data")),
        "fetched unasked": lambda _: ev.Fetched(bytes(32), b"data"),
        "unavailable body": lambda _: ev.Unavailable(BODY.digest, (ALICE,)),
        "unavailable answers": lambda phase: with_body(phase, ev.Unavailable(FIRST.digest, (CAROL, ALICE))),
        "recomputed, agrees": lambda _: AGREED,
        "recomputed, nothing to compare": lambda _: ev.Recomputed(()),
        "recomputed, at the tolerance": lambda _: ev.Recomputed((Deviation("score", CAROL, 1_000),)),
        "recomputed, beyond it": lambda _: DISAGREED,
        "scoring failed": lambda _: ev.ScoringFailed("out of memory"),
        "timer expiry": lambda _: ev.TimerFired("expiry"),
        "timer expiry, certified": lambda phase: after_certificate(phase, ev.TimerFired("expiry")),
        "timer announce": lambda _: ev.TimerFired("announce"),
        "timer announce, certified": lambda phase: after_certificate(phase, ev.TimerFired("announce")),
        "timer announce, announced": lambda phase: Told(
            ev.TimerFired("announce"), (*WAYS[phase], ev.Received(ROUND.certificate))
        ),
        "timer of another": lambda _: ev.TimerFired("wave-1"),
        "challenge": lambda _: CHALLENGE,
        "commit": lambda _: ev.Received(ROUND.commit(CAROL, 1)),
        "lock": lambda _: LOCKS[0],
        "reveal": lambda _: ev.Received(ROUND.reveal(CAROL)),
        "dispute": lambda _: ev.Received(
            ROUND.sign(BOB, Dispute(AT, ROUND.header.digest, "score", b"", 9, ""))
        ),
        "evidence": lambda _: ev.Received(ROUND.sign(BOB, Evidence(Offence.EQUIVOCATION, (b"a", b"b")))),
        "deal": lambda _: ROUND.deal,
        "scored": lambda _: SCORED,
        "encoded": lambda _: ENCODED[0],
        "peer gone": lambda _: ev.PeerGone(ALICE),
    },
    grid="""
event                             | waiting   | fetching  | recomputing | attested | disputed | expired
report                            | fetches   | .         | .           | .        | .        | .
report, another                   | fetches   | .         | .           | .        | .        | .
report of another                 | .         | .         | .           | .        | .        | .
attestation                       | notes     | notes     | notes       | notes    | notes    | notes
attestation again                 | .         | .         | .           | .        | .        | .
attestation, the last needed      | certifies | certifies | records     | records  | records  | certifies
attestation, one more             | notes     | notes     | notes       | notes    | notes    | notes
certificate                       | believes  | believes  | keeps       | keeps    | keeps    | believes
certificate again                 | .         | .         | .           | .        | .        | .
fetched body                      | .         | asks      | .           | .        | .        | holds
fetched body, false               | .         | disputes  | .           | .        | .        | .
fetched body, after the votes     | .         | completes | .           | .        | .        | writes
fetched answers                   | .         | notes     | .           | .        | .        | .
fetched answers, the last awaited | .         | compares  | .           | .        | .        | .
fetched answers before the body   | .         | .         | .           | .        | .        | .
fetched in another size           | .         | disputes  | .           | .        | .        | .
fetched unasked                   | .         | .         | .           | .        | .        | .
unavailable body                  | .         | disputes  | .           | .        | .        | notes
unavailable answers               | .         | disputes  | .           | .        | .        | .
recomputed, agrees                | .         | .         | attests     | .        | .        | .
recomputed, nothing to compare    | .         | .         | attests     | .        | .        | .
recomputed, at the tolerance      | .         | .         | attests     | .        | .        | .
recomputed, beyond it             | .         | .         | disputes    | .        | .        | .
scoring failed                    | .         | .         | abstains    | .        | .        | .
timer expiry                      | expires   | expires   | expires     | voids    | voids    | voids
timer expiry, certified           | ends      | ends      | ends        | .        | .        | .
timer announce                    | .         | .         | .           | .        | .        | .
timer announce, certified         | announces | announces | announces   | announces | announces | announces
timer announce, announced         | .         | .         | .           | .        | .        | .
timer of another                  | .         | .         | .           | .        | .        | .
challenge                         | .         | .         | .           | .        | .        | .
commit                            | .         | .         | .           | .        | .        | .
lock                              | .         | .         | .           | .        | .        | .
reveal                            | .         | .         | .           | .        | .        | .
dispute                           | .         | .         | .           | .        | .        | .
evidence                          | .         | .         | .           | .        | .        | .
deal                              | .         | .         | .           | .        | .        | .
scored                            | .         | .         | .           | .        | .        | .
encoded                           | .         | .         | .           | .        | .        | .
peer gone                         | .         | .         | .           | .        | .        | .
""",
    outcomes={
        "fetches": Outcome(A.FETCHING, "Fetch report"),
        "asks": Outcome(A.FETCHING, "15 Fetch reveal"),
        "holds": Outcome(None, ""),
        "compares": Outcome(A.RECOMPUTING, "Recompute"),
        "attests": Outcome(A.ATTESTED, "Broadcast Attestation, Publish attested"),
        "disputes": Outcome(A.DISPUTED, "Broadcast Dispute, Publish disputed"),
        "abstains": Outcome(A.EXPIRED, "Publish void"),
        "certifies": Outcome(None, "Publish certified, SetTimer announce"),
        "records": Outcome(None, "Persist RoundCertified, Publish certified, SetTimer announce"),
        "believes": Outcome(None, "Publish certified"),
        "keeps": Outcome(None, "Persist RoundCertified, Publish certified"),
        "completes": Outcome(A.FETCHING, "Persist RoundCertified, 15 Fetch reveal"),
        "writes": Outcome(None, "Persist RoundCertified"),
        "announces": Outcome(None, "Broadcast Certificate"),
        "expires": Outcome(A.EXPIRED, "Persist RoundVoid, Publish void"),
        "voids": Outcome(None, "Persist RoundVoid, Publish void"),
        "ends": Outcome(A.EXPIRED, ""),
    },
    elsewhere=OF_EPOCHS,
)


@pytest.mark.parametrize("case", TABLE.cases(), ids=str)
def test_attester__does_what_its_table_says(case: Case[A]) -> None:
    TABLE.check(case)


def test_attester_table__has_a_row_for_every_phase_and_event() -> None:
    assert {*WAYS} == set(AttesterPhase)
    assert {*TABLE.rows, *OF_EPOCHS} == {case.row for case in TABLE.cases()}
    assert TABLE.pairs() == {(phase, event) for phase in AttesterPhase for event in COLUMNS}
