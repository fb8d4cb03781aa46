"""The transition table of agreeing on an epoch's record: what each event does in each phase of a slot."""

from __future__ import annotations

import pytest

from protocol.codec import encode
from protocol.epochs.agreement import AgreementMachine, agreement_begins
from protocol.epochs.carried import CarriedEpochs
from protocol.epochs.phases import AgreementPhase
from protocol.epochs.phases import AgreementPhase as P
from protocol.epochs.transition import next_epoch, no_inputs
from protocol.epochs.view import Epoch
from protocol.hashing import content_digest
from protocol.messages import AttestationRef, EpochCertificate, Exit, Precommit, Prevote, Proposal
from protocol.rounds import events as ev
from protocol.schedule import ShardRound, proposer_of, shard_round
from tests.support.driven import (
    AGREED,
    CAROL,
    ENCODED,
    GENESIS,
    HEADER,
    LOCKS,
    ROUND,
    SCORED,
    Driven,
    changed,
)
from tests.support.of_epochs import OF_EPOCHS
from tests.support.specimens import specimens
from tests.support.transitions import COLUMNS, Case, Outcome, Table, Told

FIRST = CarriedEpochs(GENESIS)
MEMBERS = FIRST.newest
NEXT = next_epoch(MEMBERS, FIRST, no_inputs(1), ())
DATA = encode(no_inputs(1))
ODD = Epoch(GENESIS, changed(NEXT.record, inputs=bytes(32)), NEXT.table)
INPUTS = content_digest(DATA)
BEGINS = agreement_begins(FIRST, 1)
PROPOSER = proposer_of(MEMBERS, BEGINS)
# Neither this slot's proposer nor the next one's, whatever the network's id draws.
ME = next(key for key in GENESIS.validators if key not in (PROPOSER, proposer_of(MEMBERS, BEGINS + 1)))
OTHERS = [key for key in GENESIS.validators if key not in (PROPOSER, ME)]
VOTERS = [*OTHERS, PROPOSER]
OWN = next(round_ for round_ in range(BEGINS, 99) if proposer_of(MEMBERS, round_) == ME)
SLOT, LATER, MINE = (shard_round(GENESIS, round_, 0) for round_ in (BEGINS, BEGINS + 1, OWN))
EARLIER = shard_round(GENESIS, BEGINS - 1, 0)


def machine() -> Driven:
    return Driven(AgreementMachine(CarriedEpochs(GENESIS), ME))  # type: ignore[arg-type]


def proposal(**changes: object) -> ev.Event:
    body = changed(Proposal(SLOT, 1, INPUTS, len(DATA), NEXT.digest, 0, ()), **changes)
    return ev.Received(ROUND.sign(proposer_of(MEMBERS, body.at.round), body))


def shown(at: ShardRound = LATER, record: bytes = NEXT.digest) -> ev.Event:
    """Somebody who is not drawn to propose shows what a quorum was ready for."""
    seen = tuple(AttestationRef(key, bytes(64)) for key in sorted(VOTERS))
    body = Proposal(at, 1, INPUTS, len(DATA), record, BEGINS, seen)
    by = next(key for key in OTHERS if key != proposer_of(MEMBERS, at.round))
    return ev.Received(ROUND.sign(by, body))


def prevote(key: bytes, record: bytes = NEXT.digest) -> ev.Event:
    return ev.Received(ROUND.sign(key, Prevote(SLOT, 1, record, INPUTS, len(DATA))))


def precommit(key: bytes) -> ev.Event:
    return ev.Received(ROUND.sign(key, Precommit(SLOT, 1, NEXT.digest)))


CHECKED = ev.InputsChecked(INPUTS, NEXT)
FETCHED = ev.Fetched(INPUTS, DATA)
WAYS: dict[P, list[ev.Event]] = {
    P.WAITING: [ev.SlotBegan(SLOT)],
    P.CHECKING: [ev.SlotBegan(SLOT), proposal()],
    P.READY: [ev.SlotBegan(SLOT), proposal(), ev.Fetched(INPUTS, DATA), CHECKED],
    P.STAYS: [ev.SlotBegan(SLOT), proposal(), ev.Fetched(INPUTS, DATA), CHECKED, *map(prevote, OTHERS)],
    P.REFUSED: [ev.SlotBegan(SLOT), proposal(), ev.InputsRefused(INPUTS, "they do not hold")],
}
CERTIFICATE = EpochCertificate(
    SLOT, 1, NEXT.digest, tuple(AttestationRef(key, bytes(64)) for key in sorted(VOTERS))
)


def while_waiting(phase: P, event: ev.Event, *way: ev.Event) -> Told:
    """Where no proposal has come yet, something else has happened in an earlier slot or begun in this one."""
    return Told(event, way if phase is P.WAITING else None)


def read(phase: P, event: ev.Event) -> Told:
    """Where inputs are awaited, they have come."""
    return Told(event, (*WAYS[phase], FETCHED) if phase is P.CHECKING else None)


def but_for_one_prevote(phase: P) -> Told:
    """The prevote that makes two thirds; one's own counts where it was given."""
    before = OTHERS[:1] if phase is P.READY else OTHERS
    voter = VOTERS[len(before)]
    return Told(prevote(voter), (*WAYS[phase], *map(prevote, before)))


def but_for_one_precommit(phase: P) -> Told:
    before = OTHERS[:1] if phase is P.STAYS else OTHERS
    return Told(precommit(VOTERS[len(before)]), (*WAYS[phase], *map(precommit, before)))


TABLE = Table(
    make=machine,
    ways=WAYS,
    rows={
        "slot began": lambda _: ev.SlotBegan(LATER),
        "slot began, one's own": lambda _: ev.SlotBegan(MINE),
        "slot began, too early": lambda _: ev.SlotBegan(shard_round(GENESIS, BEGINS - 1, 0)),
        "proposal": lambda _: proposal(),
        "proposal of another slot": lambda _: proposal(at=LATER),
        "proposal of an earlier slot": lambda phase: while_waiting(phase, proposal(), ev.SlotBegan(LATER)),
        "proposal that came early": lambda phase: Told(
            ev.SlotBegan(LATER), (*WAYS[phase], proposal(at=LATER, record=bytes(32)))
        ),
        "proposal before its time": lambda phase: while_waiting(
            phase, proposal(at=EARLIER), ev.SlotBegan(EARLIER)
        ),
        "proposal of another epoch": lambda _: proposal(epoch=2),
        "proposal of a record known": lambda phase: while_waiting(
            phase, proposal(at=LATER), *WAYS[P.READY], ev.SlotBegan(LATER)
        ),
        "proposal of a record known, under another name": lambda phase: while_waiting(
            phase, proposal(at=LATER, inputs=bytes(32)), *WAYS[P.READY], ev.SlotBegan(LATER)
        ),
        "proposal against the lock": lambda phase: while_waiting(
            phase, proposal(at=LATER, record=bytes(32)), *WAYS[P.STAYS], ev.SlotBegan(LATER)
        ),
        "shown by another": lambda _: shown(),
        "shown by another, one's own slot": lambda phase: while_waiting(
            phase, shown(MINE), *WAYS[P.READY], ev.SlotBegan(MINE)
        ),
        "shown before its time": lambda _: shown(EARLIER),
        "proposal against what was shown": lambda phase: while_waiting(
            phase, proposal(at=LATER, record=bytes(32)), *WAYS[P.STAYS], ev.SlotBegan(LATER), shown()
        ),
        "inputs gathered, another shown": lambda phase: while_waiting(
            phase, ev.InputsGathered(DATA, NEXT), ev.SlotBegan(MINE), shown(MINE)
        ),
        "inputs gathered": lambda _: ev.InputsGathered(DATA, NEXT),
        "inputs gathered, one's own slot": lambda phase: while_waiting(
            phase, ev.InputsGathered(DATA, NEXT), ev.SlotBegan(MINE)
        ),
        "fetched inputs": lambda _: ev.Fetched(INPUTS, DATA),
        "fetched unasked": lambda _: ev.Fetched(bytes(32), DATA),
        "unavailable": lambda _: ev.Unavailable(INPUTS, (PROPOSER,)),
        "inputs checked": lambda phase: read(phase, CHECKED),
        "inputs checked before they came": lambda _: CHECKED,
        "inputs checked, others ready": lambda phase: Told(
            CHECKED, (*WAYS[phase], FETCHED, *map(prevote, VOTERS)) if phase is P.CHECKING else None
        ),
        "inputs checked, another record": lambda phase: read(phase, ev.InputsChecked(INPUTS, ODD)),
        "inputs checked, another epoch": lambda phase: read(phase, ev.InputsChecked(INPUTS, MEMBERS)),
        "inputs checked, of another size": lambda phase: Told(
            CHECKED,
            (ev.SlotBegan(SLOT), proposal(inputs_bytes=len(DATA) + 1), FETCHED)
            if phase is P.CHECKING
            else None,
        ),
        "inputs checked unasked": lambda _: ev.InputsChecked(bytes(32), NEXT),
        "inputs refused": lambda phase: read(phase, ev.InputsRefused(INPUTS, "they do not hold")),
        "inputs refused unasked": lambda _: ev.InputsRefused(bytes(32), "they do not hold"),
        "prevote": lambda _: prevote(PROPOSER),
        "prevote again": lambda phase: Told(prevote(PROPOSER), (*WAYS[phase], prevote(PROPOSER))),
        "prevote, the last needed": but_for_one_prevote,
        "prevote for another record": lambda _: prevote(PROPOSER, bytes(32)),
        "precommit": lambda _: precommit(PROPOSER),
        "precommit again": lambda phase: Told(precommit(PROPOSER), (*WAYS[phase], precommit(PROPOSER))),
        "precommit, the last needed": but_for_one_precommit,
        "certificate of the epoch": lambda _: ev.Received(ROUND.sign(PROPOSER, CERTIFICATE)),
        "registration": lambda _: OF_EPOCHS["registration"],
        "exit": lambda _: ev.Received(ROUND.sign(CAROL, Exit(SLOT))),
        "stake-transfer": lambda _: OF_EPOCHS["stake-transfer"],
    },
    grid="""
event                           | waiting  | checking | ready    | stays   | refused
slot began                      | notes    | begins   | begins   | begins  | begins
slot began, one's own           | gathers  | gathers  | gathers  | repeats | gathers
slot began, too early           | notes    | begins   | begins   | begins  | begins
proposal                        | fetches  | .        | .        | .       | .
proposal of another slot        | notes    | notes    | notes    | notes   | notes
proposal of an earlier slot     | .        | .        | .        | .       | .
proposal that came early        | asks     | asks     | asks     | objects | asks
proposal before its time        | .        | .        | .        | .       | .
proposal of another epoch       | .        | .        | .        | .       | .
proposal of a record known      | prevotes | notes    | notes    | notes   | notes
proposal of a record known, under another name | fetches | notes | notes | notes | notes
proposal against the lock       | objects    | notes    | notes    | notes   | notes
shown by another                | recalls  | recalls  | notes    | .       | recalls
shown by another, one's own slot| repeats  | recalls  | notes    | .       | recalls
shown before its time           | .        | .        | .        | .       | .
proposal against what was shown | holds    | notes    | notes    | notes   | notes
inputs gathered, another shown  | .        | .        | .        | .       | .
inputs gathered                 | .        | .        | .        | .       | .
inputs gathered, one's own slot | proposes | .        | .        | .       | .
fetched inputs                  | .        | checks   | .        | .       | .
fetched unasked                 | .        | .        | .        | .       | .
unavailable                     | .        | .        | .        | .       | .
inputs checked                  | .        | prevotes | .        | .       | .
inputs checked before they came | .        | .        | .        | .       | .
inputs checked, others ready    | .        | commits  | .        | .       | .
inputs checked, another record  | .        | refuses  | .        | .       | .
inputs checked, another epoch   | .        | notes    | .        | .       | .
inputs checked, of another size | .        | refuses  | .        | .       | .
inputs checked unasked          | .        | .        | .        | .       | .
inputs refused                  | .        | refuses  | .        | .       | .
inputs refused unasked          | .        | .        | .        | .       | .
prevote                         | notes    | notes    | notes    | notes   | notes
prevote again                   | .        | .        | .        | .       | .
prevote, the last needed        | notes    | notes    | stays    | notes   | notes
prevote for another record      | notes    | notes    | notes    | notes   | notes
precommit                       | notes    | notes    | notes    | notes   | notes
precommit again                 | .        | .        | .        | .       | .
precommit, the last needed      | notes    | notes    | decides  | decides | notes
certificate of the epoch        | .        | .        | believes | believes| .
registration                    | .        | .        | .        | .       | .
exit                            | .        | .        | .        | .       | .
stake-transfer                  | .        | .        | .        | .       | .
""",
    outcomes={
        "begins": Outcome(P.WAITING, ""),
        "gathers": Outcome(P.WAITING, "GatherInputs"),
        "objects": Outcome(P.REFUSED, "Broadcast Proposal"),
        "recalls": Outcome(None, "Fetch inputs"),
        "repeats": Outcome(P.WAITING, "Provide inputs, Broadcast Proposal"),
        "proposes": Outcome(None, "Provide inputs, Broadcast Proposal"),
        "asks": Outcome(P.CHECKING, "Fetch inputs"),
        "fetches": Outcome(P.CHECKING, "Fetch inputs"),
        "checks": Outcome(None, "CheckInputs"),
        "prevotes": Outcome(P.READY, "Broadcast Prevote"),
        "commits": Outcome(P.STAYS, "Broadcast Prevote, Persist EpochLocked, Broadcast Precommit"),
        "stays": Outcome(P.STAYS, "Persist EpochLocked, Broadcast Precommit"),
        "refuses": Outcome(P.REFUSED, "Publish epoch-refused"),
        "holds": Outcome(P.REFUSED, ""),
        "decides": Outcome(None, "Persist EpochDecided, Publish epoch-decided, Broadcast EpochCertificate"),
        "believes": Outcome(None, "Persist EpochDecided, Publish epoch-decided"),
    },
    elsewhere={
        **{
            kind: ev.Received(ROUND.sign(ROUND.dealer, specimen.body))
            for kind, specimen in specimens().items()
            if kind in ("challenge", "commit", "reveal", "attestation", "certificate", "dispute", "evidence")
        },
        "lock": LOCKS[0],
        "report": HEADER,
        "deal": ROUND.deal,
        "timer": ev.TimerFired("expiry"),
        "peer gone": ev.PeerGone(PROPOSER),
        "scored": SCORED,
        "scoring failed": ev.ScoringFailed("out of memory"),
        "recomputed": AGREED,
        "encoded": ENCODED[0],
    },
)


@pytest.mark.parametrize("case", TABLE.cases(), ids=str)
def test_agreement__does_what_its_table_says(case: Case[P]) -> None:
    TABLE.check(case)


def test_agreement_table__has_a_row_for_every_phase_and_event() -> None:
    assert {*WAYS} == set(AgreementPhase)
    assert {*TABLE.rows, *TABLE.elsewhere} == {case.row for case in TABLE.cases()}
    assert TABLE.pairs() == {(phase, event) for phase in AgreementPhase for event in COLUMNS}
