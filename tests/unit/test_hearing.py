"""What a node remembers of what was said: as long as it counts, and no longer."""

from __future__ import annotations

import pytest

import protocol.hearing
from protocol.gossip_rules import EVIDENCE_ROUNDS_KEPT, ROUNDS_KEPT, Judgement, rounds_kept
from protocol.hearing import SLACK_ROUNDS, Hearing
from protocol.messages import Attestation, Kind
from protocol.schedule import shard_round, slot_start_ms
from protocol.signatures import sign
from protocol.statement import Statement, assemble, statement_digest
from protocol.verdict import Verdict
from tests.support.epochs import epochs_of
from tests.support.genesis import small_network
from tests.support.memory_network import Identity

GENESIS, VALIDATORS, _ = small_network(4, 4, epoch_rounds=64)
ALICE = VALIDATORS[0]


def vote(who: Identity, round_: int, mark: bytes = b"r") -> Statement[Attestation]:
    body = Attestation(shard_round(GENESIS, round_, 0), mark * 32)
    name = statement_digest(GENESIS.network_id, who.key, body)
    return assemble(GENESIS.network_id, who.key, body, sign(who.seed, name))


def now_in(round_: int) -> int:
    return slot_start_ms(GENESIS, round_) + 1_000


def hear(hearing: Hearing, statement: Statement[Attestation], in_round: int) -> Judgement:
    return hearing.hear(statement.data, now_in(in_round)).judgement


def test_memory__does_not_grow_with_the_rounds() -> None:
    hearing, most = Hearing(epochs_of(GENESIS)), []
    for round_ in range(60):
        for who in VALIDATORS:
            assert hear(hearing, vote(who, round_), round_).verdict is Verdict.ACCEPT
            assert hearing.hear(vote(who, round_, b"x").data, now_in(round_)).evidence is not None
        most.append(hearing.entries_max)
    kept = ROUNDS_KEPT + SLACK_ROUNDS + 1
    assert len(hearing._slots) == len(VALIDATORS) * kept
    assert len(hearing._seen) == 2 * len(VALIDATORS) * kept  # the vote that counts and the one that accuses
    assert len(hearing._accused) == len(VALIDATORS) * (EVIDENCE_ROUNDS_KEPT + SLACK_ROUNDS + 1)
    assert max(most) == most[30] == most[-1] == len(hearing._accused)
    assert hearing._slot_bytes == sum(len(statement.data) for statement, _ in hearing._slots.values())


@pytest.mark.parametrize("later", range(ROUNDS_KEPT + SLACK_ROUNDS + 3))
def test_statement_heard_again__is_ignored_however_late_it_comes(later: int) -> None:
    hearing, first = Hearing(epochs_of(GENESIS)), vote(ALICE, 5)
    assert hear(hearing, first, 5).verdict is Verdict.ACCEPT
    again = hear(hearing, first, 5 + later)
    assert again.verdict is Verdict.IGNORE
    assert again.reason in ("seen before", "its round is over")
    second = hearing.hear(vote(ALICE, 5, b"x").data, now_in(5 + later))
    assert second.judgement.verdict is Verdict.IGNORE
    # While it counts, a second one accuses; then nothing is said of it at all.
    assert (second.evidence is not None) == (later <= ROUNDS_KEPT)


def test_clock_set_back__finds_what_was_said_still_remembered() -> None:
    hearing, first = Hearing(epochs_of(GENESIS)), vote(ALICE, 5)
    hear(hearing, first, 5)
    hear(hearing, vote(ALICE, 5 + ROUNDS_KEPT + SLACK_ROUNDS), 5 + ROUNDS_KEPT + SLACK_ROUNDS)
    assert hear(hearing, first, 6).reason == "seen before"
    assert hearing.hear(vote(ALICE, 5, b"x").data, now_in(6)).evidence is not None


def test_clock_set_back_far__does_not_keep_everything_from_then_on() -> None:
    hearing = Hearing(epochs_of(GENESIS))
    hear(hearing, vote(ALICE, 5), 60)
    for round_ in range(5, 40):
        hear(hearing, vote(ALICE, round_), round_)
    assert hearing.entries_max == ROUNDS_KEPT + SLACK_ROUNDS + 1


def test_registrations__count_for_two_epochs() -> None:
    length = GENESIS.parameters.epoch_rounds
    for kind in (Kind.REGISTRATION, Kind.EXIT, Kind.STAKE_TRANSFER):
        assert rounds_kept(kind, GENESIS) == 2 * length
    assert rounds_kept(Kind.EVIDENCE, GENESIS) == EVIDENCE_ROUNDS_KEPT
    assert rounds_kept(Kind.COMMIT, GENESIS) == ROUNDS_KEPT


def test_slots__are_bounded_in_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    size_bytes = len(vote(ALICE, 5).data)
    monkeypatch.setattr(protocol.hearing, "SLOT_BYTES_MAX", 2 * size_bytes)
    hearing = Hearing(epochs_of(GENESIS))
    for who in VALIDATORS:
        hear(hearing, vote(who, 5), 5)
    assert [statement.signer for statement, _ in hearing._slots.values()] == [
        who.key for who in VALIDATORS[-2:]
    ]
    assert hearing._slot_bytes == 2 * size_bytes
