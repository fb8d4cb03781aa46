"""Inputs of a record: what is gathered is accepted, every way to be wrong is refused and named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import encode
from protocol.epochs.checking import CertifiedOutcome, InputsError, Known, check_inputs, gather_inputs
from protocol.epochs.inputs import (
    EVIDENCE_BYTES_MAX,
    INPUTS_BYTES_MAX,
    REGISTRATIONS_BYTES_MAX,
    REGISTRATIONS_MAX,
    ROUNDS_MAX,
    CertifiedRef,
    EpochInputs,
)
from protocol.epochs.record import EVIDENCE_MAX
from protocol.messages import Dispute
from protocol.schedule import ShardRound, shard_round
from tests.support.records import (
    ENCODERS,
    GENESIS,
    ROUNDS,
    VALIDATORS,
    Story,
    conviction,
    leaving,
    newcomer,
    registration,
    say,
)

NEW = sorted(newcomer(number) for number in range(4))


def story(epochs: int = 2) -> Story:
    """Two quiet epochs: the next record takes up the rounds of epoch 1."""
    told = Story()
    for _ in range(epochs):
        told.go_on()
    return told


STORY = story()
CERTIFIED = STORY.certified()
FULL = Known(
    CERTIFIED,
    [registration(key, 2) for key in NEW[:2]],
    [leaving(ENCODERS[0], 2)],
    [conviction(ENCODERS[1], 1), conviction(VALIDATORS[1], 2)],
)
HOLDS, EPOCH = gather_inputs(STORY.epochs, FULL)


def changed(**changes: Any) -> EpochInputs:
    return msgspec.structs.replace(HOLDS, **changes)


def refusal(
    inputs: EpochInputs | bytes, certified: list[CertifiedOutcome] = CERTIFIED, **options: bool
) -> str:
    data = inputs if isinstance(inputs, bytes) else encode(inputs)
    with pytest.raises(InputsError) as caught:
        check_inputs(STORY.epochs, data, certified, **options)
    return str(caught.value)


def registered(*statements: Any) -> EpochInputs:
    return changed(registrations=tuple(one.data for one in statements))


def left(*statements: Any) -> EpochInputs:
    return changed(exits=tuple(one.data for one in statements))


def accused(*statements: Any) -> EpochInputs:
    return changed(evidence=tuple(one.data for one in statements))


def two(one: Callable[[bytes], Any], keys: list[bytes]) -> list[Any]:
    return [one(key) for key in sorted(keys, reverse=True)]


NO_WORK_BITS = b"\x01" * 32
CONVICTED = [conviction(key, 1) for key in sorted(ENCODERS[1:3])]
FORGED = bytearray(registration(NEW[0], 2).data)
FORGED[-1] ^= 1
TURNED = CONVICTED[0].body.statements[::-1]
FALSE = say(VALIDATORS[0], msgspec.structs.replace(CONVICTED[0].body, statements=TURNED))
REFUSED: dict[str, tuple[EpochInputs | bytes, str]] = {
    "no bytes": (b"", "truncated"),
    "a byte too many": (encode(HOLDS) + b"\x00", "trailing characters"),
    "another record": (encode(CERTIFIED[0].outcome), "not a EpochInputs"),
    "an earlier epoch": (changed(epoch=2), "for epoch 2, and 3 is next"),
    "a later epoch": (changed(epoch=4), "for epoch 4, and 3 is next"),
    "rounds out of order": (changed(rounds=HOLDS.rounds[::-1]), "not in order or doubled"),
    "a round twice": (changed(rounds=(HOLDS.rounds[0], *HOLDS.rounds)), "not in order or doubled"),
    "no rounds": (changed(rounds=()), "leave out round 6/0, which is certified"),
    "a round left out": (changed(rounds=HOLDS.rounds[:3] + HOLDS.rounds[4:]), "leave out round 9/0"),
    "another report": (
        changed(rounds=(CertifiedRef(HOLDS.rounds[0].at, bytes(32)), *HOLDS.rounds[1:])),
        "round 6/0 is not certified here, or with another report",
    ),
    "a round of another epoch": (
        changed(rounds=(*HOLDS.rounds, CertifiedRef(shard_round(GENESIS, 2 * ROUNDS, 0), bytes(32)))),
        "round 12/0 is not certified here",
    ),
    "a registration that is none": (
        registered(leaving(ENCODERS[0], 2)),
        "kind exit where registration belongs",
    ),
    "a registration that is no statement": (changed(registrations=(b"x",)), "not a Envelope"),
    "a registration somebody else signed": (
        changed(registrations=(bytes(FORGED),)),
        "signature of this registration is not its signer's",
    ),
    "registrations out of order": (
        registered(*two(lambda key: registration(key, 2), NEW[:2])),
        "not in the order of the signers",
    ),
    "a registration twice": (registered(*[registration(NEW[0], 2)] * 2), "or one signed twice"),
    "two registrations of one": (
        registered(registration(NEW[0], 1), registration(NEW[0], 2)),
        "or one signed twice",
    ),
    "a registration without work": (
        registered(registration(NEW[0], 2, NO_WORK_BITS)),
        "its proof of work has fewer than 4 bits",
    ),
    "a registration too old": (registered(registration(NEW[0], 0)), "out of date"),
    "a registration too early": (registered(registration(NEW[0], 3)), "out of date"),
    "a registration of a member": (
        registered(registration(ENCODERS[2], 2)),
        "registered key registers again",
    ),
    "a registration of a validator": (
        registered(registration(VALIDATORS[0], 2)),
        "signer is a validator",
    ),
    "a registration made elsewhere": (
        registered(
            say(
                NEW[0],
                msgspec.structs.replace(
                    registration(NEW[0], 2).body, at=shard_round(GENESIS, 2 * ROUNDS + 1, 0)
                ),
            )
        ),
        "it does not name the first shard-round of an epoch",
    ),
    "an exit of a stranger": (left(leaving(NEW[0], 2)), "an exit by a key that is no encoder"),
    "an exit of a validator": (left(leaving(VALIDATORS[0], 2)), "an exit by a key that is no encoder"),
    "an exit too old": (left(leaving(ENCODERS[0], 0)), "out of date"),
    "an exit too early": (left(leaving(ENCODERS[0], 3)), "out of date"),
    "exits out of order": (
        left(*two(lambda key: leaving(key, 2), ENCODERS[:2])),
        "not in the order of the signers",
    ),
    "an exit twice": (left(*[leaving(ENCODERS[0], 2)] * 2), "or one signed twice"),
    "evidence that is none": (
        accused(say(VALIDATORS[0], Dispute(CERTIFIED[0].outcome.at, bytes(32), "score", b"", 1, ""))),
        "kind dispute where evidence belongs",
    ),
    "evidence that does not hold": (accused(FALSE), "the same or out of order"),
    "evidence out of order": (accused(*CONVICTED[::-1]), "not in the order of the offenders"),
    "evidence twice": (accused(CONVICTED[0], CONVICTED[0]), "convicts one twice"),
    "two pieces against one": (
        accused(CONVICTED[0], conviction(sorted(ENCODERS[1:3])[0], 1, names="cd")),
        "convicts one twice",
    ),
    "evidence of an epoch nobody knows": (
        accused(conviction(ENCODERS[1], 9)),
        "the record of epoch 9 is not known here",
    ),
}


@pytest.mark.parametrize(("inputs", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_inputs_that_are_wrong__are_refused_and_say_why(inputs: EpochInputs | bytes, reason: str) -> None:
    assert reason in refusal(inputs)


def test_inputs_that_hold__give_the_epoch_that_was_gathered() -> None:
    found = check_inputs(STORY.epochs, encode(HOLDS), CERTIFIED)
    assert (found.digest, encode(found.table)) == (EPOCH.digest, encode(EPOCH.table))
    assert [len(HOLDS.registrations), len(HOLDS.exits), len(HOLDS.evidence)] == [2, 1, 2]


def test_evidence_against_one_that_has_lost_all_stake__is_refused() -> None:
    told = Story()
    told.go_on(told.known(evidence=[conviction(ENCODERS[1], 0), conviction(VALIDATORS[1], 0)]))
    for key in (ENCODERS[1], VALIDATORS[1]):
        again = conviction(key, 0, names="cd")
        inputs, _ = gather_inputs(told.epochs, told.known(evidence=[again]))
        assert inputs.evidence == ()
        data = encode(msgspec.structs.replace(inputs, evidence=(again.data,)))
        with pytest.raises(InputsError, match="has no stake that evidence could take"):
            check_inputs(told.epochs, data, told.certified())


def test_round_certified_here_only__may_be_left_out_once_a_quorum_has_vouched() -> None:
    # Whoever held a certificate back could else turn honest validators against what others are locked on.
    fewer, epoch = gather_inputs(STORY.epochs, Known(CERTIFIED[1:]))
    assert "leave out" in refusal(fewer)
    found = check_inputs(STORY.epochs, encode(fewer), CERTIFIED, vouched=True)
    assert found.digest == epoch.digest
    assert "not certified here" in refusal(HOLDS, CERTIFIED[1:], vouched=True)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_gathered_inputs__are_accepted_whatever_was_heard_and_in_whatever_order(data: st.DataObject) -> None:
    heard = st.permutations([*NEW, *ENCODERS[:2], VALIDATORS[0]])
    ages = st.integers(0, 4)
    names = st.sampled_from(["ab", "cd"])
    certified = data.draw(st.lists(st.sampled_from(CERTIFIED), unique_by=id)) if STORY else []
    certified.sort(key=lambda one: one.outcome.at)
    known = Known(
        certified,
        [registration(key, data.draw(ages)) for key in data.draw(heard)],
        [leaving(key, data.draw(ages)) for key in data.draw(heard)],
        [conviction(key, data.draw(st.integers(0, 3)), names=data.draw(names)) for key in data.draw(heard)],
    )
    inputs, epoch = gather_inputs(STORY.epochs, known)
    assert check_inputs(STORY.epochs, encode(inputs), certified).digest == epoch.digest


def test_evidence_larger_than_all_inputs_may_be__waits_for_the_next_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard = [conviction(key, 1) for key in ENCODERS[:3]]
    size_bytes = max(len(one.data) for one in heard)
    monkeypatch.setattr("protocol.epochs.checking.EVIDENCE_BYTES_MAX", 2 * size_bytes)
    told = story()
    taken = []
    for _ in range(2):
        told.go_on(told.known(evidence=heard))
        taken.append(len(told.inputs[-1].evidence))
    assert taken == [2, 1]
    # All at their largest fit together.
    rounds_bytes = ROUNDS_MAX * len(encode(CertifiedRef(ShardRound(2**32, 2**32, 2**32), bytes(32))))
    statements_bytes = REGISTRATIONS_BYTES_MAX + REGISTRATIONS_MAX * len(leaving(NEW[0], 2).data)
    headers_bytes = 8 * (2 * REGISTRATIONS_MAX + EVIDENCE_MAX) + 1024
    assert rounds_bytes + statements_bytes + EVIDENCE_BYTES_MAX + headers_bytes < INPUTS_BYTES_MAX


def test_registrations_of_any_length__leave_room_for_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = [registration(key, 2) for key in NEW]
    monkeypatch.setattr("protocol.epochs.checking.REGISTRATIONS_BYTES_MAX", 3 * len(heard[0].data))
    told = story()
    told.go_on(told.known(heard))
    assert len(told.inputs[-1].registrations) == 3
    told.go_on(told.known(heard))
    assert len(told.inputs[-1].registrations) == 1


def test_gathering__takes_up_so_many_and_leaves_the_rest_for_later(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("REGISTRATIONS_MAX", 2), ("EVIDENCE_MAX", 1)):
        assert {"REGISTRATIONS_MAX": REGISTRATIONS_MAX, "EVIDENCE_MAX": EVIDENCE_MAX}[name] > value
        monkeypatch.setattr(f"protocol.epochs.checking.{name}", value)
    told = story()
    known = told.known(
        [registration(key, 2) for key in NEW],
        [leaving(key, 2) for key in ENCODERS[2:5]],
        [conviction(key, 1) for key in ENCODERS[:2]],
    )
    inputs, _ = gather_inputs(told.epochs, known)
    assert [len(inputs.registrations), len(inputs.exits), len(inputs.evidence)] == [2, 2, 1]
    told.go_on(known)
    later, _ = gather_inputs(told.epochs, told.known([registration(key, 2) for key in NEW]))
    assert len(later.registrations) == 2
    assert not set(later.registrations) & set(inputs.registrations)
