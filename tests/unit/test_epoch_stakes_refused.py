"""Transfers that count for nothing, records no network has, and the limits of both."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from protocol.cards import SignedCard, ValidatorCard
from protocol.chain import LENGTH_MAX
from protocol.codec import encode
from protocol.epochs.checking import InputsError, check_inputs, gather_inputs
from protocol.epochs.inputs import (
    EVIDENCE_BYTES_MAX,
    INPUTS_BYTES_MAX,
    REGISTRATIONS_BYTES_MAX,
    ROUNDS_MAX,
    CertifiedRef,
    EpochInputs,
)
from protocol.epochs.record import (
    EVIDENCE_MAX,
    RECORD_BYTES_MAX,
    TRANSFERS_MAX,
    HeldTransfer,
    JoinedValidator,
    RecordError,
    ValidatorState,
)
from protocol.epochs.stakes import CARDS_BYTES_MAX, place_stake, transit_stake_max
from protocol.epochs.view import Epoch
from protocol.genesis import VALIDATORS_MAX
from protocol.messages import StakeTransfer
from protocol.schedule import ShardRound, shard_round
from protocol.statement import Statement
from tests.support.given_stake import PART, STAKE, joined, told_with
from tests.support.given_stake import STRANGERS as NEW
from tests.support.records import (
    ENCODERS,
    GENESIS,
    VALIDATORS,
    Story,
    card,
    registration,
    say,
    transfer,
)

ALICE, BOB, CAROL, DAN = VALIDATORS


# -- what counts for nothing -------------------------------------------------------------------------------

PLAIN = card(NEW[0])
STRANGER = card(NEW[1])
HOSTILE: dict[str, tuple[Statement[StakeTransfer], str]] = {
    "a card its owner did not sign": (
        transfer(ALICE, NEW[0], 10, 0, msgspec.structs.replace(PLAIN, signature=STRANGER.signature)),
        "not signed by its owner",
    ),
    "a card changed after it was signed": (
        transfer(
            ALICE,
            NEW[0],
            10,
            0,
            msgspec.structs.replace(PLAIN, card=msgspec.structs.replace(PLAIN.card, chain_tip=bytes(32))),
        ),
        "not signed by its owner",
    ),
    "a card for another network": (transfer(ALICE, NEW[0], 10, 0, card(NEW[0], bytes(32))), "not signed by"),
    "a card of somebody else": (transfer(ALICE, NEW[0], 10, 0, STRANGER), "not that of the key"),
    "a pool too small for a batch": (
        transfer(ALICE, NEW[0], 10, 0, card(NEW[0], pool_size=1)),
        "too few or too many items",
    ),
    "no card": (
        say(ALICE, StakeTransfer(shard_round(GENESIS, 0, 0), NEW[0], 10, ())),  # type: ignore[dict-item]
        "without its card",
    ),
    "to itself": (transfer(ALICE, ALICE, 10, 0), "its own signer"),
    "to an encoder": (transfer(ALICE, ENCODERS[0], 10, 0, card(ENCODERS[0])), "to an encoder"),
    "by an encoder": (transfer(ENCODERS[0], BOB, 10, 0), "no validator"),
    "by a stranger": (transfer(NEW[0], BOB, 10, 0), "no validator"),
    "all it has": (transfer(ALICE, NEW[0], STAKE, 0), "leaves its giver less than 1"),
    "more than it has": (transfer(ALICE, NEW[0], 2**53 - 1, 0), "leaves its giver less than 1"),
    "more than may be on its way": (transfer(ALICE, NEW[0], PART + 1, 0), "may be on its way"),
    "in the middle of an epoch": (
        say(ALICE, StakeTransfer(shard_round(GENESIS, 1, 0), BOB, 10, ())),  # type: ignore[dict-item]
        "first shard-round",
    ),
    "too late": (transfer(ALICE, BOB, 10, 0), "out of date"),
}


@pytest.mark.parametrize(("statement", "reason"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_transfer__is_neither_gathered_nor_accepted(
    statement: Statement[StakeTransfer], reason: str
) -> None:
    told = Story()
    if reason == "out of date":
        told.go_on()
        told.go_on()
    known = told.known(transfers=[statement])
    inputs, _ = gather_inputs(told.epochs, known)
    assert inputs.transfers == ()
    forced = msgspec.structs.replace(inputs, transfers=(statement.data,))
    with pytest.raises(InputsError, match=reason):
        check_inputs(told.epochs, encode(forced), known.rounds)


def forced(told: Story, *statements: Statement[StakeTransfer]) -> EpochInputs:
    inputs, _ = gather_inputs(told.epochs, told.known())
    return msgspec.structs.replace(inputs, transfers=tuple(one.data for one in statements))


def test_transfers_out_of_order_twice_or_too_many__are_refused() -> None:
    told = Story()
    one, other = transfer(ALICE, NEW[0], 30, 0), transfer(BOB, NEW[1], 30, 0)
    for wrong in (forced(told, other, one), forced(told, one, one)):
        with pytest.raises(InputsError, match="not in the order of the signers"):
            check_inputs(told.epochs, encode(wrong), ())
    with pytest.raises(InputsError, match="room for"):
        check_inputs(told.epochs, encode(forced(told, one, other)), ())
    inputs, _ = gather_inputs(told.epochs, told.known(transfers=[one, other]))
    assert inputs.transfers in ((one.data,), (other.data,))  # one of them waits


def test_givers_without_room_for_all__are_taken_up_by_lot() -> None:
    first = set()
    for number in range(8):
        told = Story()
        for _ in range(number):
            told.go_on()
        both = [transfer(giver, CAROL, 30, number) for giver in (ALICE, BOB)]
        told.go_on(told.known(transfers=both))
        (held,) = told.newest.record.transfers
        first.add(held.giver)
    assert first == {ALICE, BOB}


def test_places_and_cards__are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [transfer(ALICE, NEW[0], 10, 0), transfer(BOB, NEW[1], 10, 0)]
    size_bytes = len(encode(told_with(both[0]).newest.record.transfers[0]))
    assert len(told_with(*both).newest.record.transfers) == 2
    with monkeypatch.context() as patch:
        patch.setattr("protocol.epochs.stakes.VALIDATORS_MAX", 5)
        patch.setattr("protocol.epochs.stakes.place_stake", lambda _: 1)
        assert len(told_with(*both).newest.record.transfers) == 1
    with monkeypatch.context() as patch:
        patch.setattr("protocol.epochs.stakes.CARDS_BYTES_MAX", 2 * size_bytes - 1)
        told = told_with(*both)
        assert len(told.newest.record.transfers) == 1
        told.go_on(told.known(transfers=[transfer(CAROL, NEW[2], 10, 1)]))
        assert told.newest.record.transfers == ()
    with monkeypatch.context() as patch:
        patch.setattr("protocol.epochs.stakes.TRANSFERS_MAX", 1)
        assert len(told_with(*both).newest.record.transfers) == 1


def test_least_stake__leaves_places_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.epochs.stakes.VALIDATORS_MAX", 16)
    first = Epoch.first(GENESIS)
    assert place_stake(first) == 25
    assert transit_stake_max(first) == PART
    assert told_with(transfer(ALICE, NEW[0], 24, 0)).newest.record.transfers == ()
    assert told_with(transfer(ALICE, BOB, 1, 0)).newest.record.transfers != ()
    assert told_with(transfer(ALICE, NEW[0], 25, 0)).newest.record.transfers != ()


def test_key_about_to_validate__cannot_register_as_an_encoder() -> None:
    told = Story()
    both = told.known([registration(NEW[0], 0)], transfers=[transfer(ALICE, NEW[0], 10, 0)])
    told.go_on(both)
    assert NEW[0] not in told.newest.encoders
    for _ in range(3):
        told.go_on(told.known([registration(NEW[0], told.newest.number)]))
        assert told.inputs[-1].registrations == ()
        assert NEW[0] in told.newest.validators
        assert NEW[0] not in told.newest.encoders


def test_encoder_that_left__may_validate() -> None:
    from tests.support.records import leaving

    told = Story()
    told.go_on(told.known(exits=[leaving(ENCODERS[0], 0)]))
    told.go_on(told.known(transfers=[transfer(ALICE, ENCODERS[0], 10, 1)]))
    told.go_on()
    assert told.newest.validators[ENCODERS[0]].stake == 10
    told.go_on(told.known([registration(ENCODERS[0], 3)]))
    assert ENCODERS[0] not in told.newest.encoders


# -- what a record cannot say ------------------------------------------------------------------------------


def _more(epoch: Epoch) -> dict[str, Any]:
    first, *rest = epoch.record.validators
    return {"validators": (msgspec.structs.replace(first, stake=first.stake + 1), *rest)}


IMPOSSIBLE = {
    "more stake than genesis gave": _more,
    "a stranger without a card": lambda epoch: {"joined": ()},
    "a card twice": lambda epoch: {"joined": epoch.record.joined * 2},
    "a card without a place": lambda epoch: {
        "validators": tuple(one for one in epoch.record.validators if one.public_key != NEW[0])
    },
    "a card of a validator of genesis": lambda epoch: {
        "joined": tuple(
            sorted(
                (
                    *epoch.record.joined,
                    msgspec.structs.replace(epoch.record.joined[0], card=card(ALICE).card),
                ),
                key=lambda one: one.card.public_key,
            )
        )
    },
}


@pytest.mark.parametrize("change", IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_record_no_network_has__is_refused(change: Any) -> None:
    epoch = joined().newest
    with pytest.raises(RecordError):
        Epoch(GENESIS, msgspec.structs.replace(epoch.record, **change(epoch)), epoch.table)


# -- limits ------------------------------------------------------------------------------------------------


def test_largest_record__is_within_its_limit() -> None:
    number, key, text = 2**53 - 1, bytes(32), "\U0001f41d" * 200
    large = ValidatorCard(key, (text,) * 8, key, number, key)
    joined = JoinedValidator(large, key)
    room = CARDS_BYTES_MAX // len(encode(joined))
    # Transfers between validators bring no card; those of newcomers count among the cards.
    held = HeldTransfer(key, number, key, number, ())
    record = msgspec.structs.replace(
        Epoch.first(GENESIS).record,
        epoch=number,
        validators=(ValidatorState(key, number, number),) * VALIDATORS_MAX,
        joined=(joined,) * room,
        transfers=(held,) * TRANSFERS_MAX,
        evidence=(key,) * EVIDENCE_MAX,
    )
    assert len(encode(record)) < RECORD_BYTES_MAX
    statement = say(
        ALICE, StakeTransfer(shard_round(GENESIS, 0, 0), NEW[0], number, (SignedCard(large, bytes(64)),))
    )
    room_bytes = INPUTS_BYTES_MAX - 2 * REGISTRATIONS_BYTES_MAX - EVIDENCE_BYTES_MAX
    # No chain is longer, so no round has a higher number.
    ref = CertifiedRef(ShardRound(LENGTH_MAX, LENGTH_MAX, LENGTH_MAX), key)
    assert len(encode((ref,) * ROUNDS_MAX)) + TRANSFERS_MAX * (len(statement.data) + 8) < room_bytes
