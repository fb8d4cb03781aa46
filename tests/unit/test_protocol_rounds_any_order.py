"""No order, repetition, loss or forgery of events makes a round machine raise or contradict itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from enum import Enum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.evidence import vote_slot
from protocol.messages import (
    Attestation,
    Body,
    Challenge,
    Dispute,
    Report,
)
from protocol.report import Deviation
from protocol.rounds import (
    AttesterMachine,
    AttesterPhase,
    DealerMachine,
    DealerPhase,
    EncoderMachine,
    EncoderPhase,
)
from protocol.rounds import effects as fx
from protocol.rounds import events as ev
from protocol.statement import Statement
from tests.support.driven import (
    AGREED,
    ALICE,
    AT,
    BLOBS,
    BOB,
    BODY,
    CAROL,
    ENCODED,
    GENESIS,
    LOCKS,
    ROUND,
    SCORED,
    TO_COMMITTED,
    TO_RECOMPUTING,
    TO_SCORING,
    Driven,
    attester,
    changed,
    dealer,
    encoder,
    of,
    votes,
)

BAD_DEAL = ev.Deal(ROUND.deal.preimage, ROUND.deal.scored, (ROUND.deal.scored[0].data,))
DEALER_FINAL: set[Any] = {DealerPhase.REPORTED, DealerPhase.VOID}
ATTESTER_FINAL: set[Any] = {AttesterPhase.ATTESTED, AttesterPhase.DISPUTED, AttesterPhase.EXPIRED}
ENCODER_FINAL: set[Any] = {EncoderPhase.REVEALED, EncoderPhase.OUT}


def events_for(key: bytes, kinds: tuple[type, ...]) -> list[ev.Event]:
    """What the machine heard in the honest round, and what a hostile world might tell it instead."""
    honest = [event for event in ROUND.told[key] if isinstance(event, kinds)]
    timers = ["idle", "wave-1", "wave-2", "wave-3", "reveals", "expiry", "announce", "never"]
    hostile: list[ev.Event] = [*map(ev.TimerFired, timers), *map(ev.PeerGone, (*ROUND.shard, BOB, ALICE))]
    hostile += [ev.ScoringFailed("no memory"), ev.Recomputed((Deviation("score", CAROL, 10**9),)), AGREED]
    hostile += [ev.Recomputed(()), ev.Encoded(1, b""), *ENCODED, SCORED, BAD_DEAL]
    for name in (*BLOBS, BODY.digest):
        hostile += [ev.Unavailable(name, sources) for sources in ((), ROUND.shard, (ALICE,))]
        hostile.append(ev.Fetched(name, b"short"))
    hostile += [ev.Received(statement) for statement in TWISTED]
    return honest * 3 + hostile


def _twisted() -> list[Statement[Body]]:
    """Statements by those who may make them, each unlike the honest one."""
    made: list[Statement[Body]] = [
        ROUND.sign(ALICE, changed(ROUND.challenge.body, wave_key=bytes(32))),
        ROUND.report(changed(ROUND.body, served=()))[0],
        ROUND.certificate,
        *(ROUND.sign(ALICE, changed(lock.body, previous=bytes(32))) for lock in ROUND.locks),
        *(ROUND.sign(ALICE, changed(lock.body, commits=lock.body.commits[:3])) for lock in ROUND.locks),
        *(ROUND.sign(key, Attestation(AT, bytes(32))) for key in GENESIS.validators),
        *(ROUND.sign(key, Attestation(AT, ROUND.header.digest)) for key in GENESIS.validators),
        ROUND.sign(BOB, Dispute(AT, ROUND.header.digest, "score", b"", 0, "")),
    ]
    for key in ROUND.shard:
        honest = ROUND.reveal(key).body
        names = honest.answers
        made += [
            ROUND.sign(key, changed(honest, salts=(bytes(32),) * 3)),
            ROUND.sign(key, changed(honest, lock=bytes(32))),
            ROUND.sign(key, changed(honest, answers=(names[0],) * 3)),
        ]
        for wave in (1, 2, 3):
            made.append(ROUND.sign(key, changed(ROUND.commit(key, wave).body, lock=bytes(32))))
            made.append(ROUND.sign(key, changed(ROUND.commit(key, wave).body, commitment=bytes(32))))
    return made


TWISTED = _twisted()
FINAL: dict[type, set[Any]] = {
    DealerMachine: DEALER_FINAL,
    AttesterMachine: ATTESTER_FINAL,
    EncoderMachine: ENCODER_FINAL,
}
KINDS: tuple[type, ...] = (ev.Deal, ev.Received, ev.Fetched, ev.Scored, ev.Recomputed, ev.Encoded)
MACHINES: dict[str, tuple[Callable[[], Driven], list[ev.Event]]] = {
    "dealer": (dealer, events_for(ALICE, KINDS)),
    "attester": (attester, events_for(BOB, KINDS)),
    "dealer's attester": (lambda: attester(ALICE), events_for(ALICE, KINDS)),
    "encoder": (encoder, events_for(CAROL, KINDS)),
}


def check_history(driven: Driven) -> None:
    """What holds of any machine whatever it was told."""
    slots = Counter(vote_slot(statement) for statement in {s.digest: s for s in driven.said}.values())
    slots.pop(None, None)
    assert all(count == 1 for count in slots.values()), "two statements for one slot"
    facts = [type(effect.fact) for effect in of(driven.effects, fx.Persist)]
    for fact in (fx.ReleasedItems, fx.ReportMade, fx.RoundCertified):
        assert facts.count(fact) <= 1
    order = [
        type(effect.fact) if isinstance(effect, fx.Persist) else type(effect.body)
        for effect in driven.effects
        if isinstance(effect, fx.Persist | fx.Broadcast)
    ]
    for fact, body in ((fx.ReleasedItems, Challenge), (fx.ReportMade, Report)):
        if body in order:
            assert order.index(fact) < order.index(body)


@pytest.mark.parametrize(("make", "pool"), MACHINES.values(), ids=MACHINES.keys())
@settings(max_examples=60)
@given(data=st.data())
def test_any_events_in_any_order__never_raise_nor_make_a_machine_contradict_itself(
    make: Callable[[], Driven], pool: list[ev.Event], data: st.DataObject
) -> None:
    driven = make()
    hears_itself = data.draw(st.booleans())
    kind = type(driven.machine)
    for event in data.draw(st.lists(st.sampled_from(pool), max_size=60)):
        before = driven.machine.phase
        driven.tell(event, hears_itself=hears_itself)
        assert before not in FINAL[kind] or driven.machine.phase is before, "a final phase was left"
    check_history(driven)


@pytest.mark.parametrize(("make", "pool"), MACHINES.values(), ids=MACHINES.keys())
@settings(max_examples=40)
@given(data=st.data())
def test_honest_run_with_hostile_events_between__never_raises_nor_contradicts(
    make: Callable[[], Driven], pool: list[ev.Event], data: st.DataObject
) -> None:
    """Random events alone hardly come far: here the honest ones come too, in order, some lost or twice."""
    driven = make()
    honest = HONEST_RUNS[type(driven.machine)]
    odds = data.draw(st.lists(st.integers(0, 11), min_size=len(honest), max_size=len(honest)))
    for event, odd in zip(honest, odds, strict=True):
        if odd == 0:
            continue
        driven.tell(*([event] * (2 if odd == 1 else 1)))
        if odd <= 3:
            driven.tell(data.draw(st.sampled_from(pool)))
    check_history(driven)


HONEST_RUNS: dict[type, list[ev.Event]] = {
    DealerMachine: [*TO_SCORING, SCORED],
    AttesterMachine: [*TO_RECOMPUTING, AGREED, *votes()],
    EncoderMachine: [*TO_COMMITTED, LOCKS[0], ENCODED[1], LOCKS[1], ENCODED[2], LOCKS[2]],
}


@pytest.mark.parametrize(
    ("make", "end"),
    [
        (dealer, DealerPhase.REPORTED),
        (attester, AttesterPhase.ATTESTED),
        (encoder, EncoderPhase.REVEALED),
    ],
    ids=["dealer", "attester", "encoder"],
)
def test_honest_run__ends_where_it_should_and_says_what_it_said_then(
    make: Callable[[], Driven], end: Enum
) -> None:
    driven = make()
    driven.tell(*HONEST_RUNS[type(driven.machine)])
    assert driven.machine.phase is end
    check_history(driven)
    honest = {s.digest for s in ROUND.said if s.signer == driven.machine.me}
    slotted = {s.digest for s in driven.said if vote_slot(s) is not None}
    assert slotted
    assert slotted <= honest
