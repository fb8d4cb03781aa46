"""Stake that changes hands: nothing is made of it or lost, guilt catches up with it, strangers join by it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import encode
from protocol.epochs.agreed import CertifiedRecord, checked_record
from protocol.epochs.checking import InputsError, Known, check_inputs, gather_inputs
from protocol.epochs.record import (
    EncoderTable,
)
from protocol.epochs.stakes import transit_stake_max
from protocol.epochs.view import Epoch
from protocol.hashing import digest
from protocol.messages import AttestationRef, EpochCertificate, Evidence, Precommit
from protocol.schedule import dealer_of, dealers_in, pool_block, pool_indices, shard_round
from protocol.signatures import sign
from protocol.statement import Statement, statement_digest
from tests.support.given_stake import PART, STAKE, joined, told_with
from tests.support.given_stake import STRANGERS as NEW
from tests.support.records import (
    GENESIS,
    ROUNDS,
    SEEDS,
    VALIDATORS,
    Story,
    card,
    conviction,
    transfer,
)

ALICE, BOB, CAROL, DAN = VALIDATORS


def stakes(epoch: Epoch) -> dict[bytes, int]:
    return {key: state.stake for key, state in epoch.states.items()}


def on_its_way(epoch: Epoch) -> int:
    return sum(held.amount for held in epoch.record.transfers)


# -- one transfer ------------------------------------------------------------------------------------------


def test_stranger__validates_from_the_record_after_the_one_that_took_its_stake_up() -> None:
    told = told_with(transfer(ALICE, NEW[0], PART, 0))
    assert NEW[0] not in told.newest.states
    assert not told.newest.is_member(NEW[0])
    assert told.newest.validators[ALICE].stake == STAKE - PART
    assert told.newest.total_stake == 4 * STAKE - PART  # in between nobody votes with it
    told.go_on()
    member = told.newest.validators[NEW[0]]
    assert member == card(NEW[0]).card.as_member(PART)
    assert told.newest.total_stake == 4 * STAKE
    assert told.newest.record.transfers == ()
    told.go_on()
    assert told.newest.validators[NEW[0]] == member


def test_chain_of_records_alone__tells_every_epochs_validators() -> None:
    told = joined()
    told.go_on()
    epoch = Epoch.first(GENESIS)
    for taken in told.taken:
        at = shard_round(GENESIS, epoch.number * ROUNDS + 4, 0)
        body = Precommit(at, taken.number, taken.digest)
        votes = tuple(
            AttestationRef(key, sign(SEEDS[key], statement_digest(GENESIS.network_id, key, body)))
            for key in epoch.validators
        )
        certificate = EpochCertificate(at, taken.number, taken.digest, votes)
        record = checked_record(epoch, CertifiedRecord(encode(taken.record), certificate))
        epoch = Epoch(GENESIS, record, EncoderTable(()))
        assert epoch.validators == taken.validators
    assert NEW[0] in epoch.validators


def test_transfer_between_validators__moves_stake_only() -> None:
    told = told_with(transfer(ALICE, BOB, 30, 0))
    assert told.newest.record.joined == ()
    told.go_on()
    assert stakes(told.newest) == {**dict.fromkeys(VALIDATORS, STAKE), ALICE: 70, BOB: 130}


def test_transfer_of_one_statement__counts_once() -> None:
    one = transfer(ALICE, NEW[0], 20, 0)
    told = told_with(one)
    told.go_on(told.known(transfers=[one]))
    assert told.newest.record.transfers == ()
    told.go_on(told.known(transfers=[one]))
    told.go_on(told.known(transfers=[one]))
    assert stakes(told.newest)[NEW[0]] == 20


def test_transfer_that_waited__counts_once_beside_the_one_made_an_epoch_later() -> None:
    early, late = transfer(ALICE, BOB, 10, 0), transfer(ALICE, BOB, 20, 1)
    told = told_with()
    told.go_on(told.known(transfers=[early, late]))
    assert [held.amount for held in told.newest.record.transfers] == [10]
    told.go_on(told.known(transfers=[late, early]))
    assert [held.amount for held in told.newest.record.transfers] == [20]
    told.go_on(told.known(transfers=[late, early]))
    assert stakes(told.newest)[BOB] == 130


def test_two_givers_of_one_stranger__make_one_validator() -> None:
    other = card(NEW[0], addresses=())
    told = told_with(transfer(ALICE, NEW[0], 20, 0), transfer(BOB, NEW[0], 30, 0, other))
    told.go_on()
    assert told.newest.validators[NEW[0]] == card(NEW[0]).card.as_member(50)  # the first giver's card
    told.go_on(told.known(transfers=[transfer(CAROL, NEW[0], 10, 2)]))
    told.go_on()
    assert stakes(told.newest)[NEW[0]] == 60
    assert len(told.newest.record.joined) == 1


def test_newcomers__deal_from_their_pool_in_an_order_nobody_knew() -> None:
    told = joined()
    drawn: list[tuple[int, ...]] = []
    while len(drawn) < 2:
        epoch = told.newest
        for n in range(ROUNDS):
            at = shard_round(GENESIS, epoch.number * ROUNDS + n, 0)
            if dealer_of(epoch, at) == NEW[0]:
                assert pool_block(epoch, at) == len(drawn)
                drawn.append(pool_indices(epoch, at))
        told.go_on()
    assert not set(drawn[0]) & set(drawn[1])
    assert told.epochs.of(2).joined[NEW[0]].pool_seed == told.epochs.of(2).seed
    at = shard_round(GENESIS, 2 * ROUNDS, 0)
    seeds = set()
    for seed in (bytes(32), digest("other")):
        record = told.epochs.of(2).record
        late = [msgspec.structs.replace(one, pool_seed=seed) for one in record.joined]
        epoch = Epoch(GENESIS, msgspec.structs.replace(record, joined=tuple(late)), told.epochs.of(2).table)
        for n in range(ROUNDS):
            at = shard_round(GENESIS, 2 * ROUNDS + n, 0)
            if dealer_of(epoch, at) == NEW[0]:
                seeds.add(pool_indices(epoch, at))
    assert len(seeds) in (0, 2)


# -- guilt -------------------------------------------------------------------------------------------------


def test_conviction_in_the_record_that_takes_it_up__leaves_nothing_to_give() -> None:
    told = told_with(transfer(ALICE, NEW[0], PART, 0), evidence=[conviction(ALICE, 0, by=BOB)])
    assert told.newest.record.transfers == ()
    told.go_on()
    assert NEW[0] not in told.newest.states
    assert (stakes(told.newest)[ALICE], told.newest.total_stake) == (0, 3 * STAKE)


def test_conviction_in_the_record_after__takes_what_is_on_its_way() -> None:
    told = told_with(transfer(ALICE, NEW[0], PART - 1, 0), transfer(BOB, NEW[0], 1, 0))
    told.go_on(told.known(evidence=[conviction(ALICE, 0, by=BOB)]))
    assert stakes(told.newest) == {ALICE: 0, BOB: 99, CAROL: 100, DAN: 100, NEW[0]: 1}


def test_stake_on_its_way_to_a_convicted_validator__returns() -> None:
    told = told_with(transfer(ALICE, BOB, PART, 0))
    told.go_on(told.known(evidence=[conviction(BOB, 0)]))
    assert (stakes(told.newest)[ALICE], stakes(told.newest)[BOB]) == (STAKE, 0)


def test_convicted_newcomer__stays_out_with_its_place_kept() -> None:
    told = joined()
    told.go_on(told.known(evidence=[conviction(NEW[0], 2)]))
    assert stakes(told.newest)[NEW[0]] == 0
    number = told.newest.number
    told.go_on(told.known(transfers=[transfer(BOB, NEW[0], 10, number)]))
    assert told.inputs[-1].transfers == ()
    assert NEW[0] not in told.newest.validators


@pytest.mark.parametrize("vouched", [False, True])
def test_inputs_that_spare_a_giver__are_refused_unless_a_quorum_was_ready_for_them(vouched: bool) -> None:
    told = told_with(transfer(ALICE, NEW[0], PART, 0))
    told_of: list[Statement[Evidence]] = [conviction(ALICE, 0, by=BOB), conviction(BOB, 0)]
    known = told.known(evidence=told_of[1:])
    inputs, epoch = gather_inputs(told.epochs, known)
    assert check_inputs(told.epochs, encode(inputs), known.rounds, heard=told_of[1:]).digest == epoch.digest
    if vouched:
        found = check_inputs(told.epochs, encode(inputs), known.rounds, heard=told_of, vouched=True)
        assert found.digest == epoch.digest
        return
    with pytest.raises(InputsError, match="leave out evidence against"):
        check_inputs(told.epochs, encode(inputs), known.rounds, heard=told_of)
    # Against somebody whose stake stays where it is, it may come in with the next record.
    quiet = Story()
    quiet.go_on()
    inputs, epoch = gather_inputs(quiet.epochs, quiet.known())
    assert check_inputs(quiet.epochs, encode(inputs), quiet.certified(), heard=told_of).digest == epoch.digest


# -- whatever happens --------------------------------------------------------------------------------------

KEYS = (*VALIDATORS, *NEW)
GIFT = st.tuples(st.sampled_from(KEYS), st.sampled_from(KEYS), st.integers(1, 60), st.integers(0, 1))
EVENTS = st.lists(
    st.tuples(st.lists(GIFT, max_size=4), st.lists(st.sampled_from(KEYS), max_size=1)), max_size=6
)


@settings(max_examples=60, deadline=None)
@given(events=EVENTS, data=st.data())
def test_stake__is_conserved_but_for_convictions_whatever_order_things_were_heard_in(
    events: list[tuple[list[tuple[bytes, bytes, int, int]], list[bytes]]], data: st.DataObject
) -> None:
    told = Story()
    for gifts, accused in events:
        before, number = told.newest, told.newest.number
        transfers = [transfer(giver, to, n, max(0, number - ago), card(to)) for giver, to, n, ago in gifts]
        evidence = [conviction(key, number, by=BOB) for key in accused if before.is_member(key)]
        # Only the first of a giver's counts, and which that is depends on what was heard first.
        transfers = list({one.signer: one for one in transfers}.values())
        known = told.known(transfers=transfers, evidence=evidence)
        shuffled = Known(known.rounds, (), (), evidence, data.draw(st.permutations(transfers)))
        assert gather_inputs(told.epochs, known)[0] == gather_inputs(told.epochs, shuffled)[0]
        after = told.go_on(known)

        guilty = {key for key in accused if before.is_member(key)}
        lost = sum(before.states[key].stake for key in guilty)
        lost += sum(held.amount for held in before.record.transfers if held.giver in guilty)
        # What reaches a guilty one in this record returns to its giver.
        assert after.total_stake + on_its_way(after) == before.total_stake + on_its_way(before) - lost
        assert on_its_way(after) <= transit_stake_max(before)
        assert before.states.keys() <= after.states.keys()
        for key, state in after.states.items():
            assert state.stake >= 0
            convicted = key in guilty or (key in before.states and not before.states[key].stake)
            assert (state.stake == 0) == convicted
        assert not after.states.keys() & {one.public_key for one in after.table.encoders}
        dealt = dealers_in(before)
        for key, state in after.states.items():
            earlier = before.states[key].blocks_dealt if key in before.states else 0
            assert state.blocks_dealt == earlier + dealt.count(key)
