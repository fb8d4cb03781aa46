"""When agreeing on a record ends: what a validator stays with is never lost and never stands in the way."""

from __future__ import annotations

from random import Random

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
from tests.support.agreeing import Agreeing, agreeing_genesis, newcomer, troubled

GENESIS, _ = agreeing_genesis()


def test_agreement_after_faults__ends_in_the_first_slot_whose_proposer_knows_the_newest_lock() -> None:
    at_once = ended = 0
    for seed in range(80):
        world = troubled(seed)
        world.post = []
        world.liar = None  # silent from now on: all others are needed where it is the largest
        if any(node.decided for node in world.nodes.values()):
            continue
        for tries in range(60):
            locked = {key: node.lock.at.round for key, node in world.nodes.items() if node.lock is not None}
            newest = max(locked.values(), default=0)
            for node in world.nodes.values():
                node.heard = {(seed + tries + node.key[0]) % 6}
            world.run_slot(tries, 1.0)
            done = all(node.decided for node in world.nodes.values())
            proposer = world.proposer(world.slot)
            if proposer in world.nodes and locked.get(proposer, 0) == newest:
                assert done, f"seed {seed}: slot {world.slot} had to decide"
            if done:
                at_once += tries == 0
                ended += 1
                break
    assert ended > 60
    assert at_once > ended // 3  # the liar's slots decide nothing


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


def test_lock_of_one_alone__refuses_others_until_it_proposes_itself() -> None:
    world, alone, others = locked_alone()
    lock = world.nodes[alone].lock
    assert lock is not None
    for key in others:
        node = world.nodes[key]
        world.restart(key)  # what it had derived is forgotten
        node.heard = {4}
        skip_to(world, next_slot_of(world, key))
        world.run_slot(2, 1.0)
        assert not any(one.decided for one in world.nodes.values())
    skip_to(world, next_slot_of(world, alone))
    world.run_slot(3, 1.0)
    assert all(node.decided and node.decided.record == lock.record for node in world.nodes.values())


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
