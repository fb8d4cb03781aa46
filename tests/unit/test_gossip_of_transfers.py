"""Stake transfers as gossip: accepted once, ignored where no record has room, rejected where false."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from protocol.gossip_rules import Gossip, Judgement, Topic, judge, known_slot
from protocol.messages import Body, Kind, StakeTransfer
from protocol.schedule import shard_round, slot_start_ms
from protocol.statement import Statement
from protocol.verdict import Verdict
from tests.support.records import (
    ENCODERS,
    GENESIS,
    ROUNDS,
    SEEDS,
    VALIDATORS,
    Story,
    card,
    newcomer,
    registration,
    say,
    transfer,
)

NEW, OTHER = newcomer(0), newcomer(1)
ALICE, BOB = VALIDATORS[:2]


@dataclass
class Listener:
    """A node in some epoch."""

    told: Story = field(default_factory=Story)
    round_: int = 2
    seen: set[bytes] = field(default_factory=set)
    slots: dict[Any, Statement[Body]] = field(default_factory=dict)

    def hear(self, data: bytes, topic: str | None = None) -> Judgement:
        now_ms = slot_start_ms(GENESIS, self.round_)
        gossip = Gossip(self.told.epochs, now_ms, self.seen.__contains__, self.slots.get, topic)
        judgement = judge(data, gossip)
        if judgement.verdict is Verdict.ACCEPT and judgement.statement is not None:
            self.seen.add(judgement.statement.digest)
            slot = known_slot(judgement.statement, GENESIS.network_id)
            self.slots[slot] = judgement.statement
        return judgement

    def verdict(self, statement: Statement[Any]) -> tuple[Verdict, str]:
        judgement = self.hear(statement.data)
        return judgement.verdict, judgement.reason


def forged(statement: Statement[Any]) -> bytes:
    data = bytearray(statement.data)
    data[-1] ^= 1
    return bytes(data)


def test_transfer__is_accepted_once_on_the_topic_of_votes() -> None:
    listener, statement = Listener(), transfer(ALICE, NEW, 10, 0)
    topic = Topic(GENESIS.network_id)
    assert topic.of(Kind.STAKE_TRANSFER) == topic.votes
    assert listener.hear(statement.data, topic.rounds).verdict is Verdict.REJECT
    assert listener.hear(statement.data, topic.votes).verdict is Verdict.ACCEPT
    assert listener.verdict(statement) == (Verdict.IGNORE, "seen before")


def test_second_transfer_of_an_epoch__goes_no_further_and_convicts_nobody() -> None:
    listener = Listener()
    assert listener.verdict(transfer(ALICE, NEW, 10, 0))[0] is Verdict.ACCEPT
    judgement = listener.hear(transfer(ALICE, NEW, 11, 0).data)
    assert (judgement.verdict, judgement.evidence) == (Verdict.IGNORE, None)
    assert "taken by another" in judgement.reason


REJECTED: dict[str, tuple[bytes, str]] = {
    "not signed by its giver": (forged(transfer(ALICE, NEW, 10, 0)), "not its signer's"),
    "a card its owner did not sign": (
        transfer(ALICE, NEW, 10, 0, msgspec.structs.replace(card(NEW), signature=bytes(64))).data,
        "not signed by its owner",
    ),
    "a card for another network": (
        transfer(ALICE, NEW, 10, 0, card(NEW, bytes(32))).data,
        "not signed by its owner",
    ),
    "a card of somebody else": (transfer(ALICE, NEW, 10, 0, card(OTHER)).data, "not that of the key"),
    "a pool nobody can deal from": (
        transfer(ALICE, NEW, 10, 0, card(NEW, pool_size=1)).data,
        "too few or too many items",
    ),
    "by an encoder": (transfer(ENCODERS[0], NEW, 10, 0).data, "no validator"),
    "by a stranger": (transfer(OTHER, NEW, 10, 0).data, "no member"),
    "in the middle of an epoch": (
        say(ALICE, StakeTransfer(shard_round(GENESIS, 1, 0), BOB, 10, ())).data,
        "first shard-round of an epoch",
    ),
}


@pytest.mark.parametrize(("data", "reason"), REJECTED.values(), ids=REJECTED.keys())
def test_transfer_no_honest_node_forwards__is_rejected(data: bytes, reason: str) -> None:
    judgement = Listener().hear(data)
    assert judgement.verdict is Verdict.REJECT
    assert reason in judgement.reason


IGNORED = {
    "more than it has": transfer(ALICE, NEW, 100, 0),
    "more than may be on its way": transfer(ALICE, NEW, 60, 0),
    "to an encoder": transfer(ALICE, ENCODERS[0], 10, 0, card(ENCODERS[0])),
    "to a stranger without a card": say(ALICE, StakeTransfer(shard_round(GENESIS, 0, 0), NEW, 10, ())),
}


@pytest.mark.parametrize("statement", IGNORED.values(), ids=IGNORED.keys())
def test_transfer_no_record_has_room_for__is_ignored(statement: Statement[Any]) -> None:
    # Another node's newest record may be another one: its forwarder is not to blame.
    assert Listener().verdict(statement) == (
        Verdict.IGNORE,
        "the newest record here leaves no room for it",
    )


def test_transfer_that_was_taken_up__is_ignored_from_then_on() -> None:
    told, statement = Story(), transfer(ALICE, NEW, 10, 0)
    told.go_on(told.known(transfers=[statement]))
    verdict, reason = Listener(told, round_=ROUNDS).verdict(statement)
    assert (verdict, reason) == (Verdict.IGNORE, "the newest record here leaves no room for it")


@pytest.mark.parametrize(("round_", "heard"), [(0, True), (2 * ROUNDS, True), (2 * ROUNDS + 1, False)])
def test_transfer__is_heard_for_two_epochs(round_: int, heard: bool) -> None:
    judgement = Listener(round_=round_).hear(transfer(ALICE, NEW, 10, 0).data)
    assert (judgement.verdict is Verdict.ACCEPT) == heard


def test_registration_of_a_key_about_to_validate__is_ignored() -> None:
    told = Story()
    told.go_on(told.known(transfers=[transfer(ALICE, NEW, 10, 0)]))
    for _ in range(2):
        listener = Listener(told, round_=told.newest.number * ROUNDS)
        assert listener.verdict(registration(NEW, told.newest.number)) == (
            Verdict.IGNORE,
            "its signer is a validator, or about to be one",
        )
        told.go_on()


def test_statement_of_a_validator_that_joined__counts_from_its_first_epoch_on() -> None:
    told = Story()
    told.go_on(told.known(transfers=[transfer(ALICE, NEW, 10, 0)]))
    told.go_on()
    assert NEW in SEEDS
    early = transfer(NEW, BOB, 1, 1)
    late = transfer(NEW, BOB, 1, 2)
    listener = Listener(told, round_=2 * ROUNDS)
    assert listener.verdict(early)[0] is Verdict.REJECT  # no member of epoch 1
    assert listener.verdict(late)[0] is Verdict.ACCEPT
