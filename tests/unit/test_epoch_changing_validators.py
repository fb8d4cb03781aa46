"""Agreement while validators change: a record stands by those of the one before, and there is one an epoch.

Machines agree on one record after the other over a bus that loses what the draw says, while stake moves to a
newcomer that has run a machine of its own from the start. One validator may sign whatever it likes.
"""

from __future__ import annotations

from itertools import combinations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.certificates import CertificateError, check_certificate
from protocol.codec import encode
from protocol.epochs.agreed import CertifiedRecord, EpochCertificateError, check_epoch_certificate
from protocol.epochs.agreement import AgreementMachine, agreement_begins
from protocol.epochs.checking import CertifiedOutcome, InputsError, Known, check_inputs, gather_inputs
from protocol.epochs.known import Epochs
from protocol.epochs.phases import AgreementPhase
from protocol.epochs.view import Epoch
from protocol.hashing import content_digest, digest
from protocol.messages import (
    Attestation,
    AttestationRef,
    Body,
    Certificate,
    EpochCertificate,
    Precommit,
    Prevote,
    Proposal,
    StakeTransfer,
)
from protocol.quorum import has_quorum
from protocol.rounds import effects as fx
from protocol.rounds import events as ev
from protocol.schedule import ShardRound, proposer_of, shard_round
from protocol.statement import Statement
from tests.support.records import GENESIS, ROUNDS, VALIDATORS, Story, newcomer, outcome, say, transfer

NEW = newcomer(7)
ALICE, BOB, CAROL, DAN = VALIDATORS
AMOUNT = 50
EPOCHS = 4


def certified(epochs: Epochs) -> list[CertifiedOutcome]:
    """The rounds the next record takes up: the same for all."""
    number = epochs.newest.number - 1
    if number < 0:
        return []
    epoch = epochs.of(number)
    places = [shard_round(GENESIS, number * ROUNDS + n, 0) for n in range(ROUNDS)]
    return [CertifiedOutcome(digest("report", encode(at)), outcome(epoch, at)) for at in places]


class Node:
    """One honest machine and what it has heard of."""

    def __init__(self, key: bytes, heard: list[Statement[StakeTransfer]]) -> None:
        self.key = key
        self.epochs = Epochs(GENESIS)
        self.machine = AgreementMachine(self.epochs, key)
        self.heard = heard
        self.said: list[Statement[Body]] = []


class Bus:
    """All nodes, slot by slot. AssertionError as soon as two records of one epoch stand."""

    def __init__(self, seed: int, arrives: float, liar: bytes | None = None) -> None:
        self.draw = Random(seed)
        self.arrives = arrives
        self.liar = liar
        gift = transfer(BOB, NEW, AMOUNT, 0)
        late = transfer(CAROL, NEW, AMOUNT, 1)
        # Who has heard of one transfer only proposes another record than who has heard of both.
        self.nodes = {
            key: Node(key, [gift, late] if self.draw.random() < 0.5 else [gift])
            for key in (*VALIDATORS, NEW)
            if key != liar
        }
        self.blobs: dict[bytes, bytes] = {}
        self.records: dict[int, bytes] = {}
        self.certificates: dict[int, tuple[Epoch, EpochCertificate]] = {}
        self.post: list[tuple[bytes, Statement[Body]]] = []

    def run_slot(self, round_: int) -> None:
        at = shard_round(GENESIS, round_, 0)
        self.post = []
        for key in self.draw.sample([*self.nodes], len(self.nodes)):
            self.tell(self.nodes[key], ev.SlotBegan(at))
        for turn in range(3):
            self.settle()
            if self.liar is not None:
                self.lie(at, turn)
        self.follow()

    def settle(self) -> None:
        while self.post:
            to, statement = self.post.pop(self.draw.randrange(len(self.post)))
            if self.draw.random() < self.arrives:
                self.tell(self.nodes[to], ev.Received(statement))

    def follow(self) -> None:
        """Whoever missed a decision may catch up with it, or not."""
        for node in self.nodes.values():
            known = self.certificates.get(node.epochs.newest.number + 1)
            if known is not None and self.draw.random() < 0.7:
                node.epochs.add(known[0])

    def lie(self, at: ShardRound, turn: int) -> None:
        """Vote for whatever anybody has named, to some here and others there."""
        assert self.liar is not None
        for node in self.nodes.values():
            number = node.epochs.newest.number + 1
            if self.liar not in node.epochs.newest.validators:
                continue
            named = {
                s.body.record: s.body
                for other in self.nodes.values()
                for s in other.said
                if isinstance(s.body, Proposal)
            }
            for record, told in sorted(named.items()):
                vote = Prevote(at, number, record, told.inputs, told.inputs_bytes)
                for body in (vote, Precommit(at, number, record)):
                    if self.draw.random() < 0.7:
                        self.tell(node, ev.Received(say(self.liar, body)))

    def tell(self, node: Node, event: ev.Event) -> None:
        body = event.statement.body if isinstance(event, ev.Received) else None
        if isinstance(body, Prevote | Precommit | Proposal | EpochCertificate):
            assert isinstance(event, ev.Received)
            members = node.epochs.find(body.epoch - 1)
            # The gossip rules, as far as they matter here.
            if members is None or event.statement.signer not in members.validators:
                return
            if isinstance(body, EpochCertificate):
                check_epoch_certificate(members, body)
        for effect in node.machine.handle(event, 0):
            self.carry_out(node, effect)

    def carry_out(self, node: Node, effect: fx.Effect) -> None:
        match effect:
            case fx.Persist(fx.EpochDecided(epoch, certificate)):
                self.decided(node.epochs.newest, epoch, certificate)
                node.epochs.add(epoch)
            case fx.Broadcast(body):
                statement = say(node.key, body)
                node.said.append(statement)
                self.post += [(key, statement) for key in self.nodes if key != node.key]
                self.tell(node, ev.Received(statement))
            case fx.Provide(data):
                self.blobs[content_digest(data)] = data
            case fx.Fetch(name):
                self.tell(node, ev.Fetched(name, self.blobs[name]))
            case fx.GatherInputs():
                known = Known(certified(node.epochs), transfers=node.heard)
                inputs, epoch = gather_inputs(node.epochs, known)
                self.tell(node, ev.InputsGathered(encode(inputs), epoch))
            case fx.CheckInputs(_, data, vouched):
                try:
                    found = check_inputs(node.epochs, data, certified(node.epochs), vouched=vouched)
                except InputsError as error:
                    self.tell(node, ev.InputsRefused(content_digest(data), str(error)))
                else:
                    self.tell(node, ev.InputsChecked(content_digest(data), found))

    def decided(self, before: Epoch, epoch: Epoch, certificate: EpochCertificate) -> None:
        known = self.records.setdefault(epoch.number, epoch.digest)
        assert known == epoch.digest, f"two records of epoch {epoch.number}"
        check_epoch_certificate(before, certificate)
        voters = {vote.validator for vote in certificate.precommits}
        assert voters <= before.validators.keys()
        self.certificates.setdefault(epoch.number, (epoch, certificate))


def play(bus: Bus, slots: int) -> None:
    for round_ in range(slots):
        bus.run_slot(round_)


def test_newcomers_machine__is_silent_until_its_first_epoch_and_then_votes() -> None:
    bus = Bus(3, 1.0)
    for node in bus.nodes.values():
        node.heard = node.heard[:1]
    play(bus, EPOCHS * ROUNDS)
    mine = bus.nodes[NEW]
    first = next(number for number, (epoch, _) in sorted(bus.certificates.items()) if NEW in epoch.validators)
    assert first == 2
    about = {s.body.epoch for s in mine.said if isinstance(s.body, Prevote | Precommit | Proposal)}
    assert about == set(range(first + 1, EPOCHS + 1))
    assert bus.nodes[BOB].epochs.newest.validators[BOB].stake == 100 - AMOUNT
    assert mine.machine.phase is AgreementPhase.WAITING
    _, certificate = bus.certificates[first + 1]
    assert NEW in {vote.validator for vote in certificate.precommits}


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**32), arrives=st.sampled_from((0.6, 0.8, 0.95)), liar=st.sampled_from((None, ALICE))
)
def test_records__are_one_an_epoch_while_stake_moves_and_a_validator_lies(
    seed: int, arrives: float, liar: bytes | None
) -> None:
    bus = Bus(seed, arrives, liar)
    play(bus, EPOCHS * ROUNDS)
    bus.arrives = 1.0
    for round_ in range(EPOCHS * ROUNDS, (EPOCHS + 2) * ROUNDS):
        bus.run_slot(round_)
    # It goes on, too: the newcomer's stake has moved, once for each transfer that was taken up.
    newest = max(bus.nodes.values(), key=lambda node: node.epochs.newest.number).epochs.newest
    assert newest.number >= 2
    held = sum(one.amount for one in newest.record.transfers)
    assert newest.total_stake + held == GENESIS.total_stake


def test_slot_places__begin_where_agreement_may() -> None:
    assert agreement_begins(Epochs(GENESIS), 2) == ROUNDS + 3


# -- who counts --------------------------------------------------------------------------------------------


def changing() -> Story:
    """Records 0 to 3: Bob gives in the first, the newcomer has stake from the second on."""
    told = Story()
    told.go_on(told.known(transfers=[transfer(BOB, NEW, AMOUNT, 0)]))
    told.go_on()
    told.go_on()
    return told


STORY = changing()


def epoch_certificate(members: Epoch, keys: tuple[bytes, ...]) -> EpochCertificate:
    at = ShardRound(members.number, members.number * ROUNDS + 4, 0)
    record = STORY.epochs.of(members.number + 1).digest
    body = Precommit(at, members.number + 1, record)
    votes = tuple(AttestationRef(key, say(key, body).signature) for key in sorted(keys))
    return EpochCertificate(at, members.number + 1, record, votes)


def certificate(members: Epoch, keys: tuple[bytes, ...]) -> Certificate:
    at = shard_round(GENESIS, members.number * ROUNDS, 0)
    report = digest("report")
    votes = tuple(AttestationRef(key, say(key, Attestation(at, report)).signature) for key in sorted(keys))
    return Certificate(at, report, votes)


@pytest.mark.parametrize(
    ("number", "keys", "stands"),
    [
        (0, (ALICE, BOB, CAROL), True),
        (0, (ALICE, CAROL, DAN), True),
        (0, (ALICE, BOB, CAROL, NEW), False),  # no validator yet
        (1, (ALICE, BOB, CAROL), True),  # 250 of 350: what is on its way counts for nobody
        (1, (ALICE, BOB, CAROL, DAN, NEW), False),
        (2, (ALICE, BOB, CAROL), False),  # 250 of 400: what Bob gave away is no longer his
        (2, (ALICE, BOB, CAROL, NEW), True),
        (2, (ALICE, CAROL, NEW), False),
        (2, (ALICE, CAROL, DAN), True),
    ],
)
def test_quorum__is_of_the_epochs_own_stakes(number: int, keys: tuple[bytes, ...], stands: bool) -> None:
    members = STORY.epochs.of(number)
    if stands:
        check_epoch_certificate(members, epoch_certificate(members, keys))
        check_certificate(members, certificate(members, keys))
        return
    with pytest.raises(EpochCertificateError):
        check_epoch_certificate(members, epoch_certificate(members, keys))
    with pytest.raises(CertificateError):
        check_certificate(members, certificate(members, keys))


def test_certified_record__is_refused_with_votes_of_another_epochs_validators() -> None:
    from protocol.epochs.agreed import checked_record

    members, after = STORY.epochs.of(0), STORY.epochs.of(1)
    told = CertifiedRecord(encode(after.record), epoch_certificate(members, (ALICE, BOB, CAROL, NEW)))
    with pytest.raises(EpochCertificateError, match="no validator of the epoch before"):
        checked_record(members, told)


@pytest.mark.parametrize("number", range(4))
def test_quorums_of_one_epoch__share_more_than_a_third_of_its_stake(number: int) -> None:
    members = STORY.epochs.of(number)
    stakes = {key: member.stake for key, member in members.validators.items()}
    total = members.total_stake
    quorums = [
        set(keys)
        for size in range(1, len(stakes) + 1)
        for keys in combinations(stakes, size)
        if has_quorum(sum(stakes[key] for key in keys), total)
    ]
    assert quorums
    for one, other in combinations(quorums, 2):
        assert 3 * sum(stakes[key] for key in one & other) >= total


def test_proposers_and_dealers__are_drawn_from_the_epochs_own_validators() -> None:
    drawn = {number: set[bytes]() for number in range(4)}
    for number, keys in drawn.items():
        epoch = STORY.epochs.of(number)
        keys |= {proposer_of(epoch, round_) for round_ in range(400)}
        assert keys == epoch.validators.keys()
    assert NEW not in drawn[1]
    assert NEW in drawn[2]
