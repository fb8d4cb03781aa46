"""The dealer's transition table: what each event does in each phase, illegal and ignored ones included."""

from __future__ import annotations

import pytest

from protocol.messages import Attestation, Dispute, Evidence, Offence
from protocol.rounds import DealerPhase
from protocol.rounds import events as ev
from protocol.rounds.phases import DealerPhase as D
from tests.support.driven import (
    AGREED,
    ALICE,
    AT,
    BOB,
    CAROL,
    CHALLENGE,
    DAVE,
    ENCODED,
    HEADER,
    LOCKS,
    ROUND,
    SCORED,
    TO_REVEALS,
    TO_SCORING,
    all_answers,
    answers,
    changed,
    commits,
    dealer,
    reveals,
)
from tests.support.of_epochs import OF_EPOCHS
from tests.support.transitions import COLUMNS, Case, Outcome, Table, Told

WAVE = {D.WAVE_1: 1, D.WAVE_2: 2, D.WAVE_3: 3}
WAYS: dict[D, list[ev.Event]] = {
    D.IDLE: [],
    D.WAVE_1: [ROUND.deal],
    D.WAVE_2: [ROUND.deal, *commits(1)],
    D.WAVE_3: [ROUND.deal, *commits(1), *commits(2)],
    D.REVEALS: TO_REVEALS,
    D.SCORING: TO_SCORING,
    D.REPORTED: [*TO_SCORING, SCORED],
    D.VOID: [ROUND.deal, ev.TimerFired("wave-1")],
}
BAD_DEAL = ev.Deal(ROUND.deal.preimage, ROUND.deal.scored, (ROUND.deal.scored[0].data,))
FIRST = answers(CAROL)[0]
assert isinstance(FIRST, ev.Fetched)


def wave_of(phase: D) -> int:
    """The wave that is open; before the first and after the last, the nearest."""
    return WAVE.get(phase, 1 if phase in (D.IDLE, D.VOID) else 3)


def commit(phase: D, key: bytes = CAROL, **changes: object) -> ev.Event:
    return ev.Received(ROUND.sign(key, changed(ROUND.commit(CAROL, wave_of(phase)).body, **changes)))


def but_for_carol(phase: D) -> tuple[ev.Event, ...]:
    """All have answered the wave, or shown what they have, but Carol."""
    if phase in WAVE:
        return (*WAYS[phase], *commits(wave_of(phase), CAROL))
    if phase is D.REVEALS:
        return (*TO_REVEALS, *reveals(), *all_answers(CAROL), *answers(CAROL)[1:])
    return tuple(WAYS[phase])


def few(phase: D) -> tuple[ev.Event, ...]:
    """Only two have answered: one fewer than a round needs."""
    return (*WAYS[phase], *commits(wave_of(phase))[:2]) if phase in WAVE else tuple(WAYS[phase])


def carol_is_late(phase: D) -> Told:
    """The commit that Carol owed to the wave before; in wave 1 nothing can be late yet."""
    wave = {D.WAVE_2: 1, D.WAVE_3: 2}.get(phase, 3)
    if phase in (D.IDLE, D.WAVE_1, D.VOID):
        return Told(ev.Received(ROUND.commit(CAROL, 1)))
    way: list[ev.Event] = [ROUND.deal, *(one for before in range(1, wave) for one in commits(before))]
    way += [*commits(wave, CAROL), ev.TimerFired(f"wave-{wave}")]
    if phase in (D.SCORING, D.REPORTED):
        driven = dealer()
        driven.tell(*way)
        lock = driven.said[-1].digest
        for key in ROUND.shard[1:]:
            way.append(ev.Received(ROUND.sign(key, changed(ROUND.reveal(key).body, lock=lock))))
        way += [*all_answers(CAROL), *([SCORED] if phase is D.REPORTED else [])]
    return Told(ev.Received(ROUND.commit(CAROL, wave)), tuple(way))


def reveal(**changes: object) -> ev.Event:
    return ev.Received(ROUND.sign(CAROL, changed(ROUND.reveal(CAROL).body, **changes)))


def after_reveals(phase: D, event: ev.Event) -> Told:
    """In the phase of reveals everyone has shown digests, and nothing is fetched yet."""
    return Told(event, (*TO_REVEALS, *reveals()) if phase is D.REVEALS else None)


TABLE = Table(
    make=dealer,
    ways=WAYS,
    rows={
        "deal": lambda _: ROUND.deal,
        "deal of an item twice": lambda _: BAD_DEAL,
        "own challenge": lambda _: CHALLENGE,
        "challenge of another": lambda _: ev.Received(ROUND.sign(BOB, ROUND.challenge.body)),
        "own lock": lambda phase: LOCKS[wave_of(phase) - 1],
        "lock of another": lambda phase: ev.Received(ROUND.sign(BOB, ROUND.locks[wave_of(phase) - 1].body)),
        "commit": lambda phase: commit(phase),
        "commit again": lambda phase: Told(commit(phase), (*WAYS[phase], commit(phase))),
        "commit, the last awaited": lambda phase: Told(commit(phase), but_for_carol(phase)),
        "commit to another wave": lambda phase: ev.Received(
            ROUND.commit(CAROL, {1: 2, 2: 3, 3: 2}[wave_of(phase)])
        ),
        "commit to another lock": lambda phase: commit(phase, lock=bytes(32)),
        "commit of a stranger": lambda phase: commit(phase, ROUND.stranger),
        "commit, late": carol_is_late,
        "commit, late again": lambda phase: Told(
            (late := carol_is_late(phase)).event, (*(late.way or WAYS[phase]), late.event)
        ),
        "reveal": lambda _: ev.Received(ROUND.reveal(CAROL)),
        "reveal again": lambda phase: after_reveals(phase, ev.Received(ROUND.reveal(CAROL))),
        "reveal of another lock": lambda _: reveal(lock=bytes(32)),
        "reveal that is false": lambda _: reveal(salts=(bytes(32),) * 3),
        "report": lambda _: HEADER,
        "attestation": lambda _: ev.Received(ROUND.sign(BOB, Attestation(AT, ROUND.header.digest))),
        "certificate": lambda _: ev.Received(ROUND.certificate),
        "dispute": lambda _: ev.Received(
            ROUND.sign(BOB, Dispute(AT, ROUND.header.digest, "score", b"", 9, ""))
        ),
        "evidence": lambda _: ev.Received(ROUND.sign(BOB, Evidence(Offence.EQUIVOCATION, (b"a", b"b")))),
        "fetched": lambda phase: after_reveals(phase, FIRST),
        "fetched, the last awaited": lambda phase: Told(FIRST, but_for_carol(phase)),
        "fetched unasked": lambda _: ev.Fetched(bytes(32), b"data"),
        "fetched in another size": lambda phase: after_reveals(phase, ev.Fetched(FIRST.digest, b"data")),
        "unavailable": lambda phase: after_reveals(phase, ev.Unavailable(FIRST.digest, (CAROL,))),
        "unavailable, the last awaited": lambda phase: Told(
            ev.Unavailable(FIRST.digest, (CAROL,)), but_for_carol(phase)
        ),
        "unavailable from others": lambda phase: after_reveals(phase, ev.Unavailable(FIRST.digest, (DAVE,))),
        "timer of the phase": lambda phase: Told(ev.TimerFired(phase.value), but_for_carol(phase)),
        "timer of the phase, too few": lambda phase: Told(ev.TimerFired(phase.value), few(phase)),
        "timer of another phase": lambda phase: ev.TimerFired("reveals" if phase in WAVE else "wave-1"),
        "peer gone": lambda _: ev.PeerGone(CAROL),
        "peer gone, the last awaited": lambda phase: Told(ev.PeerGone(CAROL), but_for_carol(phase)),
        "peer gone, no encoder": lambda _: ev.PeerGone(ALICE),
        "scored": lambda _: SCORED,
        "scoring failed": lambda _: ev.ScoringFailed("out of memory"),
        "recomputed": lambda _: AGREED,
        "encoded": lambda _: ENCODED[0],
    },
    grid="""
event                         | idle  | wave-1 | wave-2 | wave-3 | reveals  | scoring | reported | void
deal                          | deals | .      | .      | .      | .        | .       | .        | .
deal of an item twice         | void  | .      | .      | .      | .        | .       | .        | .
own challenge                 | notes | .      | .      | .      | .        | .       | .        | .
challenge of another          | .     | .      | .      | .      | .        | .       | .        | .
own lock                      | notes | notes  | notes  | notes  | .        | .       | .        | notes
lock of another               | .     | .      | .      | .      | .        | .       | .        | .
commit                        | .     | notes  | notes  | notes  | .        | .       | .        | late
commit again                  | .     | .      | .      | .      | .        | .       | .        | .
commit, the last awaited      | .     | lock 1 | lock 2 | lock 3 | .        | .       | .        | late
commit to another wave        | .     | .      | .      | .      | .        | .       | .        | late
commit to another lock        | .     | .      | .      | .      | .        | .       | .        | late
commit of a stranger          | .     | .      | .      | .      | .        | .       | .        | .
commit, late                  | .     | notes  | late   | late   | late     | late    | late     | late
commit, late again            | .     | .      | .      | .      | .        | .       | .        | .
reveal                        | .     | .      | .      | .      | fetches  | .       | .        | .
reveal again                  | .     | .      | .      | .      | .        | .       | .        | .
reveal of another lock        | .     | .      | .      | .      | .        | .       | .        | .
reveal that is false          | .     | .      | .      | .      | accuses  | .       | .        | .
report                        | .     | .      | .      | .      | .        | .       | .        | .
attestation                   | .     | .      | .      | .      | .        | .       | .        | .
certificate                   | .     | .      | .      | .      | .        | .       | .        | .
dispute                       | .     | .      | .      | .      | .        | .       | .        | .
evidence                      | .     | .      | .      | .      | .        | .       | .        | .
fetched                       | .     | .      | .      | .      | notes    | .       | .        | .
fetched, the last awaited     | .     | .      | .      | .      | scores   | .       | .        | .
fetched unasked               | .     | .      | .      | .      | .        | .       | .        | .
fetched in another size       | .     | .      | .      | .      | notes    | .       | .        | .
unavailable                   | .     | .      | .      | .      | notes    | .       | .        | .
unavailable, the last awaited | .     | .      | .      | .      | scores   | .       | .        | .
unavailable from others       | .     | .      | .      | .      | .        | .       | .        | .
timer of the phase            | .     | lock 1 | lock 2 | lock 3 | scores   | .       | .        | .
timer of the phase, too few   | .     | void   | void   | void   | void     | .       | .        | .
timer of another phase        | .     | .      | .      | .      | .        | .       | .        | .
peer gone                     | .     | notes  | notes  | notes  | notes    | notes   | notes    | notes
peer gone, the last awaited   | .     | lock 1 | lock 2 | lock 3 | scores   | notes   | notes    | notes
peer gone, no encoder         | .     | .      | .      | .      | .        | .       | .        | .
scored                        | .     | .      | .      | .      | .        | reports | .        | .
scoring failed                | .     | .      | .      | .      | .        | void    | .        | .
recomputed                    | .     | .      | .      | .      | .        | .       | .        | .
encoded                       | .     | .      | .      | .      | .        | .       | .        | .
""",
    outcomes={
        "deals": Outcome(
            D.WAVE_1,
            "Persist ReleasedItems, 3 Provide views, Broadcast Challenge, SetTimer wave-1, Publish dealt",
        ),
        "lock 1": Outcome(D.WAVE_2, "Broadcast Lock, SetTimer wave-2, Publish locked"),
        "lock 2": Outcome(D.WAVE_3, "Broadcast Lock, SetTimer wave-3, Publish locked"),
        "lock 3": Outcome(D.REVEALS, "Broadcast Lock, SetTimer reveals, Publish locked"),
        "late": Outcome(None, "Publish late"),
        "fetches": Outcome(None, "3 Fetch reveal"),
        "accuses": Outcome(None, "Penalise, Broadcast Evidence"),
        "scores": Outcome(D.SCORING, "Publish revealed, Score"),
        "reports": Outcome(
            D.REPORTED, "Provide report, Persist ReportMade, Broadcast Report, Publish reported"
        ),
        "void": Outcome(D.VOID, "Persist RoundVoid, Publish void"),
    },
    elsewhere=OF_EPOCHS,
)


@pytest.mark.parametrize("case", TABLE.cases(), ids=str)
def test_dealer__does_what_its_table_says(case: Case[D]) -> None:
    TABLE.check(case)


def test_dealer_table__has_a_row_for_every_phase_and_event() -> None:
    assert {*WAYS} == set(DealerPhase)
    assert {*TABLE.rows, *OF_EPOCHS} == {case.row for case in TABLE.cases()}
    assert TABLE.pairs() == {(phase, event) for phase in DealerPhase for event in COLUMNS}
