"""When agreeing on a record ends: what a validator stays with is never lost and never stands in the way."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from protocol.codec import encode
from protocol.epochs.agreement import AgreementMachine, agreement_begins
from protocol.epochs.checking import Known, gather_inputs
from protocol.epochs.known import Epochs
from protocol.epochs.transition import next_epoch, no_inputs
from protocol.hashing import content_digest
from protocol.messages import Precommit, Prevote, Proposal
from protocol.rounds import effects as fx
from protocol.rounds import events as ev
from protocol.schedule import slot_start_ms
from protocol.verdict import Verdict
from tests.support.agreeing import Agreeing, agreeing_genesis, newcomer, signed_by, troubled

GENESIS, _ = agreeing_genesis()


def test_agreement_after_faults__ends_in_the_second_slot_with_an_honest_proposer() -> None:
    at_once = ended = 0
    for seed in range(800):
        world = troubled(seed)
        world.post = []
        world.liar = None  # silent from now on: all others are needed where it is the largest
        if any(node.decided for node in world.nodes.values()):
            continue
        skip_to(world, world.slot + 1)  # nobody's clock is behind any more
        honest_slots = 0
        while not all(node.decided for node in world.nodes.values()):
            locked = {key: node.lock.at.round for key, node in world.nodes.items() if node.lock is not None}
            newest = max(locked.values(), default=0)
            for node in world.nodes.values():
                node.heard = {(seed + honest_slots + node.key[0]) % 6}
            world.run_slot(seed, 1.0)
            done = all(node.decided for node in world.nodes.values())
            proposer = world.proposer(world.slot)
            honest_slots += proposer in world.nodes
            if proposer in world.nodes and locked.get(proposer, 0) == newest:
                assert done, f"seed {seed}: slot {world.slot} had to decide"
            assert done or honest_slots < 2, f"seed {seed}: slot {world.slot} had a proposer that was told"
        at_once += honest_slots == 1
        ended += 1
    assert ended > 600
    assert ended > at_once > 9 * ended // 10


def locked_alone() -> tuple[Agreeing, bytes, list[bytes]]:
    """The liar is silent. One of the others alone has precommitted; none of them can do without another."""
    for seed in range(2_000):
        world = Agreeing(0)
        world.liar = None
        skip_to(world, next_slot_of(world, next(iter(world.nodes))))
        world.run_slot(seed, 0.8, ends=0.0)
        world.post = []
        locked = [key for key, node in world.nodes.items() if node.lock is not None]
        if len(locked) == 1:
            return world, locked[0], [key for key in world.nodes if key != locked[0]]
    raise AssertionError("no seed leads there")


def next_slot_of(world: Agreeing, key: bytes) -> int:
    return next(slot for slot in range(world.slot + 1, world.slot + 200) if world.proposer(slot) == key)


def skip_to(world: Agreeing, slot: int) -> None:
    for node in world.nodes.values():
        node.slot = slot - 1


def test_lock_of_one_that_restarts__is_proposed_again_with_the_very_inputs() -> None:
    world, alone, others = locked_alone()
    lock = world.nodes[alone].lock
    assert lock is not None
    world.restart(alone)
    for index, key in enumerate([alone, *others]):
        world.nodes[key].heard = {index + 3}  # what it would gather now is another record
    skip_to(world, next_slot_of(world, alone))
    world.run_slot(1, 1.0)
    assert {node.decided.record for node in world.nodes.values() if node.decided} == {lock.record}
    assert all(node.decided for node in world.nodes.values())


def test_lock_of_one_alone__is_shown_to_who_did_not_know_and_proposed_by_the_next() -> None:
    world, alone, others = locked_alone()
    lock = world.nodes[alone].lock
    assert lock is not None
    for key in others:
        world.restart(key)  # what it had seen and derived is forgotten
        world.nodes[key].heard = {4}
    skip_to(world, next_slot_of(world, others[0]))
    world.run_slot(2, 1.0)
    assert not any(one.decided for one in world.nodes.values())
    told = [one for one in world.said.values() if one.signer == alone and isinstance(one.body, Proposal)]
    assert [one.body.record for one in told[-1:]] == [lock.record]
    skip_to(world, next_slot_of(world, others[1]))
    world.run_slot(3, 1.0)
    assert all(node.decided and node.decided.record == lock.record for node in world.nodes.values())


def test_prevotes_of_a_quorum__name_the_inputs_to_who_missed_the_proposal() -> None:
    world = Agreeing()
    slot = world.slot + 1
    proposer = world.proposer(slot)
    missed = next(key for key in world.keys if key != proposer)
    for key in world.nodes:
        world.begin(key, slot)
    while world.post or any(node.tasks for node in world.nodes.values()):
        for key, node in world.nodes.items():
            while node.tasks:
                world.finish(key, 0)
        for to, statement in [world.post.pop() for _ in range(len(world.post))]:
            if isinstance(statement.body, Prevote) or (to != missed and isinstance(statement.body, Proposal)):
                world.deliver(to, statement)
    record = next(one.body.record for one in world.said.values() if isinstance(one.body, Prevote))
    assert not any(node.decided for node in world.nodes.values())
    skip_to(world, next_slot_of(world, missed))
    world.nodes[missed].heard = {5}
    world.run_slot(1, 1.0)
    assert all(node.decided and node.decided.record == record for node in world.nodes.values())


def test_quorum_shown_under_another_name__is_refused_by_the_rules() -> None:
    # Else a liar could have everybody look for inputs that are nowhere.
    world, alone, others = locked_alone()
    lock = world.nodes[alone].lock
    assert lock is not None
    slot = next_slot_of(world, others[0])
    skip_to(world, slot)
    for key in world.nodes:
        world.begin(key, slot)
    hearing, now_ms = world.nodes[others[0]].hearing, slot_start_ms(GENESIS, slot) + 1
    for changes, verdict in (
        ({}, Verdict.ACCEPT),
        ({"inputs": bytes(32)}, Verdict.REJECT),
        ({"inputs_bytes": lock.inputs_bytes + 1}, Verdict.REJECT),
        ({"record": bytes(32)}, Verdict.REJECT),
        ({"seen": (), "seen_round": 0}, Verdict.REJECT),
    ):
        told = (lock.inputs, lock.inputs_bytes, lock.record, lock.at.round, lock.seen)
        body = msgspec.structs.replace(Proposal(world.at(slot), 1, *told), **changes)
        signer = others[1] if changes else alone
        assert hearing.hear(signed_by(signer, body).data, now_ms).judgement.verdict is verdict, changes


def test_prevotes_that_a_proposal_shows__are_taken_up_by_who_hears_it() -> None:
    # So the next proposer need not be the one that stays with the record.
    world, alone, others = locked_alone()
    lock = world.nodes[alone].lock
    assert lock is not None
    for key in others:
        world.restart(key)
        world.nodes[key].heard = {4}
    slot = next_slot_of(world, alone)
    skip_to(world, slot)
    for key in world.nodes:
        world.begin(key, slot)
    (proposal,) = {one.digest: one for _, one in world.post if isinstance(one.body, Proposal)}.values()
    world.post = []
    world.deliver(others[0], proposal)
    world.post = []
    skip_to(world, next_slot_of(world, others[0]))
    world.run_slot(5, 1.0)
    assert all(node.decided and node.decided.record == lock.record for node in world.nodes.values())


def test_lock_for_an_epoch_yet_to_be_caught_up_with__is_kept_until_then() -> None:
    epochs = Epochs(GENESIS)
    following = next_epoch(epochs.newest, epochs, no_inputs(1), ())
    at = Agreeing().at(agreement_begins(epochs, 2) + 1)
    lock = fx.EpochLocked(at, 2, bytes(32), (), bytes(32), 1)
    machine = AgreementMachine(epochs, next(iter(GENESIS.validators)), lock)
    assert machine.lock is None
    epochs.add(following)
    machine.handle(ev.SlotBegan(at), 0)
    assert machine.lock == lock
    epochs.add(next_epoch(following, epochs, no_inputs(2), ()))
    machine.handle(ev.SlotBegan(Agreeing().at(at.round + 16)), 0)
    assert machine.lock is None


def test_proposal_before_its_time__is_not_voted_on() -> None:
    # Rounds that it has to take up can still be certified: who proposes early chooses among them.
    world = Agreeing()
    begins = agreement_begins(Epochs(GENESIS), 1)
    for node in world.nodes.values():
        node.slot = begins - 2
    early = world.at(begins - 1)
    inputs, epoch = gather_inputs(Epochs(GENESIS), Known((), [newcomer(0)]))
    data = encode(inputs)
    world.blobs[content_digest(data)] = data
    for key in world.nodes:
        world.begin(key, begins - 1)
    proposer = world.proposer(begins - 1)
    body = Proposal(early, 1, content_digest(data), len(data), epoch.digest, 0, ())
    world.nodes[proposer].blobs.add(content_digest(data))
    world.say(proposer, body, list(world.nodes))
    world.settle(Random(0), 1.0)
    assert not any(isinstance(one.body, Prevote) for one in world.said.values())


@pytest.mark.parametrize("ahead", range(4))
def test_slot_that_begins_elsewhere_first__loses_nothing(ahead: int) -> None:
    # The proposer's clock is ahead; what it and others have said is there when the slot begins here.
    world = Agreeing()
    slot = world.slot + 1
    first = world.proposer(slot)
    others = [key for key in world.keys if key != first]
    behind = others[0]
    machine = world.nodes[behind].machine
    world.begin(first, slot)
    for key in others[1:ahead]:
        world.begin(key, slot)
    while world.nodes[first].tasks:
        world.finish(first, 0)
    (proposal,) = {one.digest: one for _, one in world.post if isinstance(one.body, Proposal)}.values()
    machine.handle(ev.Received(proposal), 0)
    for key in others:
        if world.nodes[key].slot < slot:
            world.begin(key, slot)
    assert any(isinstance(task, fx.Fetch) for task in world.nodes[behind].tasks)
    world.settle(Random(ahead), 1.0)
    assert all(node.decided for node in world.nodes.values())


def test_agreement_without_faults__takes_one_slot_and_says_each_thing_once() -> None:
    world = Agreeing()
    world.run_slot(0, 1.0)
    assert all(node.decided for node in world.nodes.values())
    for kind, count in ((Proposal, 1), (Prevote, 4), (Precommit, 4)):
        assert sum(isinstance(one.body, kind) for one in world.said.values()) == count
