"""The round machines as tables: every phase, and where events lead."""

from __future__ import annotations

from enum import Enum
from typing import Any

import pytest

from protocol.hashing import content_digest
from protocol.report import Deviation
from protocol.rounds import (
    AttesterMachine,
    AttesterPhase,
    DealerMachine,
    DealerPhase,
    EncoderMachine,
    EncoderPhase,
)
from protocol.rounds import events as ev
from protocol.rounds.phases import (
    ATTESTER_TABLE,
    DEALER_TABLE,
    ENCODER_TABLE,
    AttesterMove,
    DealerMove,
    EncoderMove,
    Phases,
)
from tests.support.driven import (
    AGREED,
    ALICE,
    BOB,
    BODY,
    CAROL,
    CHALLENGE,
    ENCODED,
    HEADER,
    LOCKS,
    ROUND,
    SCORED,
    TO_COMMITTED,
    TO_RECOMPUTING,
    TO_REVEALS,
    TO_SCORING,
    VIEWS,
    all_answers,
    attester,
    changed,
    commits,
    dealer,
    encoder,
    reveals,
)

TABLES: dict[str, tuple[dict[Any, Any], type[Enum], type[Enum], Enum, set[Enum]]] = {
    "dealer": (
        DEALER_TABLE,
        DealerPhase,
        DealerMove,
        DealerPhase.IDLE,
        {DealerPhase.REPORTED, DealerPhase.VOID},
    ),
    "attester": (
        ATTESTER_TABLE,
        AttesterPhase,
        AttesterMove,
        AttesterPhase.WAITING,
        {AttesterPhase.ATTESTED, AttesterPhase.DISPUTED, AttesterPhase.EXPIRED},
    ),
    "encoder": (
        ENCODER_TABLE,
        EncoderPhase,
        EncoderMove,
        EncoderPhase.IDLE,
        {EncoderPhase.REVEALED, EncoderPhase.OUT},
    ),
}


@pytest.mark.parametrize(("table", "phases", "moves", "start", "final"), TABLES.values(), ids=TABLES.keys())
def test_table__reaches_every_phase_and_leaves_no_final_one(
    table: dict[Any, Any], phases: type[Enum], moves: type[Enum], start: Enum, final: set[Enum]
) -> None:
    reached = {start}
    while True:
        more = {to for (source, _), to in table.items() if source in reached} - reached
        if not more:
            break
        reached |= more
    assert reached == set(phases)
    assert {move for _, move in table} == set(moves)
    assert {phase for phase in phases if not any(source is phase for source, _ in table)} == final
    # From everywhere some end can be reached.
    for phase in phases:
        ends, frontier = set(), {phase}
        while frontier:
            ends |= frontier
            frontier = {to for (source, _), to in table.items() if source in frontier} - ends
        assert ends & final


@pytest.mark.parametrize(("table", "phases", "moves", "start", "final"), TABLES.values(), ids=TABLES.keys())
def test_table__loops_only_where_a_wave_begins_again(
    table: dict[Any, Any], phases: type[Enum], moves: type[Enum], start: Enum, final: set[Enum]
) -> None:
    """The encoder's three waves; nothing else can go on for ever."""
    again = {(EncoderPhase.COMMITTED, EncoderMove.NEXT_WAVE)}
    frontier, steps = {start}, 0
    while frontier:
        frontier = {to for (s, move), to in table.items() if s in frontier and (s, move) not in again}
        steps += 1
        assert steps <= len(phases)


def test_move_that_is_not_in_the_table__is_a_fault_of_the_machine() -> None:
    phases = Phases(DealerPhase.REPORTED, DEALER_TABLE)
    assert not any(phases.can(move) for move in DealerMove)
    with pytest.raises(AssertionError, match="no way 'deal' out of 'reported'"):
        phases.move(DealerMove.DEAL)
    assert phases.current is DealerPhase.REPORTED


BAD_DEAL = ev.Deal(ROUND.deal.preimage, ROUND.deal.scored, (ROUND.deal.scored[0].data,))
DEALER_ROWS: dict[str, tuple[list[ev.Event], DealerPhase]] = {
    "nothing yet": ([], DealerPhase.IDLE),
    "a timer before the deal": ([ev.TimerFired("idle")], DealerPhase.IDLE),
    "dealt": ([ROUND.deal], DealerPhase.WAVE_1),
    "dealt twice": ([ROUND.deal, ROUND.deal], DealerPhase.WAVE_1),
    "dealt items that make no batch": ([BAD_DEAL], DealerPhase.VOID),
    "all but carol committed": ([ROUND.deal, *commits(1, CAROL)], DealerPhase.WAVE_1),
    "carol did not, at the deadline": (
        [ROUND.deal, *commits(1, CAROL), ev.TimerFired("wave-1")],
        DealerPhase.WAVE_2,
    ),
    "carol is gone": ([ROUND.deal, *commits(1, CAROL), ev.PeerGone(CAROL)], DealerPhase.WAVE_2),
    "carol was gone before the deal": (
        [ev.PeerGone(CAROL), ROUND.deal, *commits(1, CAROL)],
        DealerPhase.WAVE_1,
    ),
    "carol is gone but her commit comes": (
        [ROUND.deal, ev.PeerGone(CAROL), *commits(1)],
        DealerPhase.WAVE_2,
    ),
    "too few committed": ([ROUND.deal, *commits(1)[:2], ev.TimerFired("wave-1")], DealerPhase.VOID),
    "everybody is gone": ([ROUND.deal, *map(ev.PeerGone, ROUND.shard)], DealerPhase.VOID),
    "the deadline of another wave": ([ROUND.deal, *commits(1), ev.TimerFired("wave-1")], DealerPhase.WAVE_2),
    "wave 3": ([ROUND.deal, *commits(1), *commits(2)], DealerPhase.WAVE_3),
    "commits of wave 2 before wave 1 ends": ([ROUND.deal, *commits(2), *commits(1)], DealerPhase.WAVE_2),
    "waves over": (TO_REVEALS, DealerPhase.REVEALS),
    "revealed but not fetched": ([*TO_REVEALS, *reveals()], DealerPhase.REVEALS),
    "fetched": (TO_SCORING, DealerPhase.SCORING),
    "carol serves nothing": (
        [
            *TO_REVEALS,
            *reveals(),
            *all_answers(CAROL),
            ev.Unavailable(ROUND.reveal(CAROL).body.answers[0], (CAROL,)),
        ],
        DealerPhase.SCORING,
    ),
    "carol is gone after the waves": (
        [*TO_REVEALS, ev.PeerGone(CAROL), *reveals(CAROL), *all_answers(CAROL)],
        DealerPhase.SCORING,
    ),
    "reveals at the deadline": (
        [*TO_REVEALS, *reveals(CAROL), *all_answers(CAROL), ev.TimerFired("reveals")],
        DealerPhase.SCORING,
    ),
    "too few revealed": ([*TO_REVEALS, ev.TimerFired("reveals")], DealerPhase.VOID),
    "scored": ([*TO_SCORING, SCORED], DealerPhase.REPORTED),
    "scoring failed": ([*TO_SCORING, ev.ScoringFailed("out of memory")], DealerPhase.VOID),
    "scored unasked": ([*TO_REVEALS, SCORED], DealerPhase.REVEALS),
}


@pytest.mark.parametrize(("events", "phase"), DEALER_ROWS.values(), ids=DEALER_ROWS.keys())
def test_dealer__is_where_the_events_lead(events: list[ev.Event], phase: DealerPhase) -> None:
    driven = dealer()
    driven.tell(*events)
    assert isinstance(driven.machine, DealerMachine)
    assert driven.machine.phase is phase


LIE = ROUND.report(ROUND.body, preimage=bytes(32))
ATTESTER_ROWS: dict[str, tuple[list[ev.Event], AttesterPhase]] = {
    "nothing yet": ([], AttesterPhase.WAITING),
    "reported": ([HEADER], AttesterPhase.FETCHING),
    "reported by another": ([ev.Received(ROUND.sign(BOB, ROUND.header.body))], AttesterPhase.WAITING),
    "the body is here": ([HEADER, BODY], AttesterPhase.FETCHING),
    "the body unasked": ([BODY], AttesterPhase.WAITING),
    "the body is nowhere": ([HEADER, ev.Unavailable(BODY.digest, (ALICE,))], AttesterPhase.DISPUTED),
    "the body lies": (
        [ev.Received(LIE[0]), ev.Fetched(content_digest(LIE[1]), LIE[1])],
        AttesterPhase.DISPUTED,
    ),
    "answers are missing": ([HEADER, BODY, *all_answers(CAROL)], AttesterPhase.FETCHING),
    "answers before the body": ([HEADER, *all_answers(), BODY], AttesterPhase.FETCHING),
    "answers are nowhere": (
        [HEADER, BODY, ev.Unavailable(ROUND.reveal(CAROL).body.answers[1], (CAROL, ALICE))],
        AttesterPhase.DISPUTED,
    ),
    "answers of another size": (
        [HEADER, BODY, ev.Fetched(ROUND.reveal(CAROL).body.answers[1], bytes(4))],
        AttesterPhase.DISPUTED,
    ),
    "all is here": (TO_RECOMPUTING, AttesterPhase.RECOMPUTING),
    "recomputed": ([*TO_RECOMPUTING, AGREED], AttesterPhase.ATTESTED),
    "recomputed unasked": ([HEADER, BODY, AGREED], AttesterPhase.FETCHING),
    "at the tolerance": (
        [*TO_RECOMPUTING, ev.Recomputed((Deviation("score", CAROL, 1_000),))],
        AttesterPhase.ATTESTED,
    ),
    "over the tolerance": (
        [*TO_RECOMPUTING, ev.Recomputed((Deviation("score", CAROL, 1_001), Deviation("weight", b"", 3)))],
        AttesterPhase.DISPUTED,
    ),
    "scoring failed": ([*TO_RECOMPUTING, ev.ScoringFailed("out of memory")], AttesterPhase.EXPIRED),
    "out of time without a report": ([ev.TimerFired("expiry")], AttesterPhase.EXPIRED),
    "out of time while fetching": ([HEADER, ev.TimerFired("expiry")], AttesterPhase.EXPIRED),
    "out of time while recomputing": ([*TO_RECOMPUTING, ev.TimerFired("expiry")], AttesterPhase.EXPIRED),
    "a report after its time": ([ev.TimerFired("expiry"), HEADER], AttesterPhase.EXPIRED),
}


@pytest.mark.parametrize(("events", "phase"), ATTESTER_ROWS.values(), ids=ATTESTER_ROWS.keys())
def test_attester__is_where_the_events_lead(events: list[ev.Event], phase: AttesterPhase) -> None:
    driven = attester()
    driven.tell(*events)
    assert isinstance(driven.machine, AttesterMachine)
    assert driven.machine.phase is phase


WITHOUT_CAROL = ROUND.sign(ALICE, changed(ROUND.locks[0].body, commits=ROUND.locks[0].body.commits[1:]))
WRONG_KEY = ROUND.sign(ALICE, changed(ROUND.locks[0].body, next_wave_key=bytes(32)))
ENCODER_ROWS: dict[str, tuple[list[ev.Event], EncoderPhase]] = {
    "nothing yet": ([], EncoderPhase.IDLE),
    "a lock without a challenge": ([LOCKS[0]], EncoderPhase.IDLE),
    "views without a challenge": ([*VIEWS], EncoderPhase.IDLE),
    "challenged": ([CHALLENGE], EncoderPhase.FETCHING),
    "challenged by bob": ([ev.Received(ROUND.sign(BOB, ROUND.challenge.body))], EncoderPhase.IDLE),
    "views are here": ([CHALLENGE, VIEWS[0]], EncoderPhase.ENCODING),
    "later views are here": ([CHALLENGE, VIEWS[2], VIEWS[1]], EncoderPhase.FETCHING),
    "views are nowhere": ([CHALLENGE, ev.Unavailable(VIEWS[1].digest, (ALICE,))], EncoderPhase.OUT),
    "views that do not open": ([CHALLENGE, ev.Fetched(VIEWS[0].digest, VIEWS[1].data)], EncoderPhase.OUT),
    "encoded": (TO_COMMITTED, EncoderPhase.COMMITTED),
    "encoded another wave": ([CHALLENGE, *VIEWS, ENCODED[1]], EncoderPhase.ENCODING),
    "encoded too little": ([CHALLENGE, *VIEWS, ev.Encoded(1, b"1234")], EncoderPhase.OUT),
    "wave 2": ([*TO_COMMITTED, LOCKS[0]], EncoderPhase.ENCODING),
    "wave 2 waits for views": (
        [CHALLENGE, VIEWS[0], ENCODED[0], LOCKS[0]],
        EncoderPhase.FETCHING,
    ),
    "wave 2 does not open": ([*TO_COMMITTED, ev.Received(WRONG_KEY)], EncoderPhase.OUT),
    "a lock of a later wave": ([*TO_COMMITTED, LOCKS[1]], EncoderPhase.COMMITTED),
    "the same lock again": ([*TO_COMMITTED, LOCKS[0], LOCKS[0]], EncoderPhase.ENCODING),
    "a lock without carol": ([*TO_COMMITTED, ev.Received(WITHOUT_CAROL)], EncoderPhase.OUT),
    "a lock before the views": ([CHALLENGE, LOCKS[0]], EncoderPhase.OUT),
    "a lock before the answers": ([CHALLENGE, *VIEWS, LOCKS[0]], EncoderPhase.LATE),
    "that lock again": ([CHALLENGE, *VIEWS, LOCKS[0], LOCKS[0]], EncoderPhase.LATE),
    "late answers": ([CHALLENGE, *VIEWS, LOCKS[0], ENCODED[0]], EncoderPhase.OUT),
    "late answers of another size": (
        [CHALLENGE, *VIEWS, LOCKS[0], ev.Encoded(1, b"")],
        EncoderPhase.OUT,
    ),
    "wave 3": ([*TO_COMMITTED, LOCKS[0], ENCODED[1], LOCKS[1], ENCODED[2]], EncoderPhase.COMMITTED),
    "revealed": (
        [*TO_COMMITTED, LOCKS[0], ENCODED[1], LOCKS[1], ENCODED[2], LOCKS[2]],
        EncoderPhase.REVEALED,
    ),
}


@pytest.mark.parametrize(("events", "phase"), ENCODER_ROWS.values(), ids=ENCODER_ROWS.keys())
def test_encoder__is_where_the_events_lead(events: list[ev.Event], phase: EncoderPhase) -> None:
    driven = encoder()
    driven.tell(*events)
    assert isinstance(driven.machine, EncoderMachine)
    assert driven.machine.phase is phase


def test_rows__reach_every_phase() -> None:
    assert {phase for _, phase in DEALER_ROWS.values()} == set(DealerPhase)
    assert {phase for _, phase in ATTESTER_ROWS.values()} == set(AttesterPhase)
    assert {phase for _, phase in ENCODER_ROWS.values()} == set(EncoderPhase)
