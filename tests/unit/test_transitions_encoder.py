"""The encoder's transition table: what each event does in each phase, illegal and ignored ones included."""

from __future__ import annotations

import pytest

from protocol.messages import Attestation, Dispute, Evidence, Offence
from protocol.rounds import EncoderPhase
from protocol.rounds import events as ev
from protocol.rounds.phases import EncoderPhase as E
from tests.support.driven import (
    AGREED,
    ALICE,
    AT,
    BOB,
    CAROL,
    CHALLENGE,
    ENCODED,
    HEADER,
    LOCKS,
    ROUND,
    SCORED,
    TO_COMMITTED,
    VIEWS,
    changed,
    encoder,
)
from tests.support.of_epochs import OF_EPOCHS
from tests.support.transitions import COLUMNS, Case, Outcome, Table, Told

TO_LAST_COMMIT: list[ev.Event] = [*TO_COMMITTED, LOCKS[0], ENCODED[1], LOCKS[1], ENCODED[2]]
WAYS: dict[E, list[ev.Event]] = {
    E.IDLE: [],
    E.FETCHING: [CHALLENGE],
    E.ENCODING: [CHALLENGE, *VIEWS],
    E.COMMITTED: TO_COMMITTED,
    E.REVEALED: [*TO_LAST_COMMIT, LOCKS[2]],
    E.LATE: [CHALLENGE, *VIEWS, LOCKS[0]],
    E.OUT: [CHALLENGE, LOCKS[0]],
}
FIRST_LOCK = ROUND.locks[0].body


def lock(**changes: object) -> ev.Event:
    return ev.Received(ROUND.sign(ALICE, changed(FIRST_LOCK, **changes)))


TABLE = Table(
    make=encoder,
    ways=WAYS,
    rows={
        "challenge": lambda _: CHALLENGE,
        "challenge, another": lambda _: ev.Received(
            ROUND.sign(ALICE, changed(ROUND.challenge.body, wave_key=bytes(32)))
        ),
        "challenge of another": lambda _: ev.Received(ROUND.sign(BOB, ROUND.challenge.body)),
        "lock of the wave": lambda _: LOCKS[0],
        "lock of the wave, views awaited": lambda phase: Told(
            LOCKS[0], (CHALLENGE, VIEWS[0], ENCODED[0]) if phase is E.COMMITTED else None
        ),
        "lock without this encoder": lambda _: lock(commits=FIRST_LOCK.commits[1:]),
        "lock over another commit of its": lambda _: lock(
            commits=(changed(FIRST_LOCK.commits[0], commit=bytes(32)), *FIRST_LOCK.commits[1:])
        ),
        "lock with another key": lambda _: lock(next_wave_key=bytes(32)),
        "lock of another history": lambda _: lock(previous=bytes(32)),
        "lock of a later wave": lambda _: LOCKS[1],
        "lock of wave 3": lambda phase: Told(
            LOCKS[2], tuple(TO_LAST_COMMIT) if phase is E.COMMITTED else None
        ),
        "lock of another": lambda _: ev.Received(ROUND.sign(BOB, FIRST_LOCK)),
        "fetched views": lambda _: VIEWS[0],
        "fetched views of a later wave": lambda _: VIEWS[1],
        "fetched views that do not open": lambda _: ev.Fetched(VIEWS[0].digest, VIEWS[1].data),
        "fetched unasked": lambda _: ev.Fetched(bytes(32), b"data"),
        "unavailable views": lambda _: ev.Unavailable(VIEWS[1].digest, (ALICE,)),
        "unavailable, unasked": lambda _: ev.Unavailable(bytes(32), (ALICE,)),
        "encoded": lambda _: ENCODED[0],
        "encoded in another size": lambda _: ev.Encoded(1, b"data"),
        "encoded, another wave": lambda _: ENCODED[1],
        "timer": lambda _: ev.TimerFired("wave-1"),
        "peer gone": lambda _: ev.PeerGone(ALICE),
        "commit": lambda _: ev.Received(ROUND.commit(CAROL, 1)),
        "reveal": lambda _: ev.Received(ROUND.reveal(CAROL)),
        "report": lambda _: HEADER,
        "attestation": lambda _: ev.Received(ROUND.sign(BOB, Attestation(AT, ROUND.header.digest))),
        "certificate": lambda _: ev.Received(ROUND.certificate),
        "dispute": lambda _: ev.Received(
            ROUND.sign(BOB, Dispute(AT, ROUND.header.digest, "score", b"", 9, ""))
        ),
        "evidence": lambda _: ev.Received(ROUND.sign(BOB, Evidence(Offence.EQUIVOCATION, (b"a", b"b")))),
        "deal": lambda _: ROUND.deal,
        "scored": lambda _: SCORED,
        "scoring failed": lambda _: ev.ScoringFailed("out of memory"),
        "recomputed": lambda _: AGREED,
    },
    grid="""
event                           | idle    | fetching | encoding | committed | revealed | late    | out
challenge                       | fetches | .        | .        | .         | .        | .       | .
challenge, another              | fetches | .        | .        | .         | .        | .       | .
challenge of another            | .       | .        | .        | .         | .        | .       | .
lock of the wave                | .       | out      | misses   | encodes   | .        | .       | .
lock of the wave, views awaited | .       | out      | misses   | waits     | .        | .       | .
lock without this encoder       | .       | out      | misses   | out       | .        | .       | .
lock over another commit of its | .       | out      | misses   | out       | .        | .       | .
lock with another key           | .       | out      | misses   | blames    | .        | .       | .
lock of another history         | .       | .        | .        | .         | .        | .       | .
lock of a later wave            | .       | .        | .        | .         | .        | .       | .
lock of wave 3                  | .       | .        | .        | reveals   | .        | .       | .
lock of another                 | .       | .        | .        | .         | .        | .       | .
fetched views                   | .       | encodes  | .        | .         | .        | .       | notes
fetched views of a later wave   | .       | notes    | .        | .         | .        | .       | notes
fetched views that do not open  | .       | blames   | notes    | notes     | notes    | notes   | notes
fetched unasked                 | .       | .        | .        | .         | .        | .       | .
unavailable views               | .       | out      | out      | out       | .        | out     | .
unavailable, unasked            | .       | .        | .        | .         | .        | .       | .
encoded                         | .       | .        | commits  | .         | .        | is late | .
encoded in another size         | .       | .        | out      | .         | .        | out     | .
encoded, another wave           | .       | .        | .        | .         | .        | .       | .
timer                           | .       | .        | .        | .         | .        | .       | .
peer gone                       | .       | .        | .        | .         | .        | .       | .
commit                          | .       | .        | .        | .         | .        | .       | .
reveal                          | .       | .        | .        | .         | .        | .       | .
report                          | .       | .        | .        | .         | .        | .       | .
attestation                     | .       | .        | .        | .         | .        | .       | .
certificate                     | .       | .        | .        | .         | .        | .       | .
dispute                         | .       | .        | .        | .         | .        | .       | .
evidence                        | .       | .        | .        | .         | .        | .       | .
deal                            | .       | .        | .        | .         | .        | .       | .
scored                          | .       | .        | .        | .         | .        | .       | .
scoring failed                  | .       | .        | .        | .         | .        | .       | .
recomputed                      | .       | .        | .        | .         | .        | .       | .
""",
    outcomes={
        "fetches": Outcome(E.FETCHING, "3 Fetch views"),
        "encodes": Outcome(E.ENCODING, "Encode"),
        "waits": Outcome(E.FETCHING, ""),
        "commits": Outcome(E.COMMITTED, "Send Commit"),
        "is late": Outcome(E.OUT, "Send Commit"),
        "misses": Outcome(E.LATE, ""),
        "reveals": Outcome(E.REVEALED, "3 Provide reveal, Send Reveal, Publish revealed"),
        "blames": Outcome(E.OUT, "Penalise, Publish void"),
        "out": Outcome(E.OUT, "Publish void"),
    },
    elsewhere=OF_EPOCHS,
)


@pytest.mark.parametrize("case", TABLE.cases(), ids=str)
def test_encoder__does_what_its_table_says(case: Case[E]) -> None:
    TABLE.check(case)


def test_encoder_table__has_a_row_for_every_phase_and_event() -> None:
    assert {*WAYS} == set(EncoderPhase)
    assert {*TABLE.rows, *OF_EPOCHS} == {case.row for case in TABLE.cases()}
    assert TABLE.pairs() == {(phase, event) for phase in EncoderPhase for event in COLUMNS}
