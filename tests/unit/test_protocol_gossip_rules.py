"""The gossip rules, row by row: who says what when, on which topic, and what becomes of it."""

from __future__ import annotations

import pytest

from protocol.evidence import equivocation
from protocol.gossip_rules import (
    CLOCK_SKEW_MS,
    EVIDENCE_ROUNDS_KEPT,
    ROUNDS_KEPT,
    Topic,
)
from protocol.hashing import digest
from protocol.messages import (
    Attestation,
    Body,
    CommitRef,
    Evidence,
    Kind,
    Offence,
)
from protocol.report import BODY_BYTES_MAX
from protocol.schedule import ShardRound, shard_round, slot_start_ms
from protocol.signatures import public_key
from protocol.statement import ENVELOPE_BYTES_MAX, Statement
from protocol.verdict import Verdict
from tests.support.genesis import small_network
from tests.support.hearer import (
    ACCEPTED,
    ALICE,
    AT,
    AT_LAST,
    BOB,
    CAROL,
    COMMITS,
    DAVE,
    FEWEST,
    GENESIS,
    MOST,
    PARAMETERS,
    ROUND,
    VIEW_BYTES_MAX,
    VOTES,
    Listener,
    attestation,
    certificate,
    certificate_of,
    challenge,
    dispute,
    lock,
    report,
    sign,
    two_faced,
    wave_changed,
)
from tests.support.honest_round import HonestRound, honest_round


@pytest.mark.parametrize("statement", ROUND.said, ids=lambda statement: statement.kind.value)
def test_everything_said_in_an_honest_round__is_accepted(statement: Statement[Body]) -> None:
    judgement = Listener().hear(statement.data)
    assert (judgement.verdict, judgement.reason) == (Verdict.ACCEPT, "")
    assert judgement.statement == statement


@pytest.mark.parametrize("data", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_honest_statement__is_accepted(data: bytes) -> None:
    assert Listener().hear(data).reason == ""
    assert Listener().hear(data).verdict is Verdict.ACCEPT


REJECTED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "not a Envelope"),
    "noise": (digest("noise"), "not a Envelope"),
    "too long": (bytes(ENVELOPE_BYTES_MAX + 1), "exceeds the limit"),
    "another network": (honest_round("b").challenge.data, "another network"),
    "an epoch the round is not in": (
        attestation(BOB, at=ShardRound(AT.epoch + 1, AT.round, 0)).data,
        "no such shard-round",
    ),
    "a shard that is not there": (attestation(BOB, at=ShardRound(0, 1, 1)).data, "no such shard-round"),
    "a round past the end of the hash chains": (attestation(BOB, at=AT_LAST).data, "no such shard-round"),
    "alice has deadlines of her own": (challenge(wave_deadline_ms=1), "not the network's"),
    "alice gives more time to reveal": (challenge(reveal_deadline_ms=2**53 - 1), "not the network's"),
    "alice deals too many views": (wave_changed(3, views=MOST + 1), "more or fewer views"),
    "alice deals too few views": (wave_changed(3, views=FEWEST - 1), "more or fewer views"),
    "alice deals no views at all": (wave_changed(1, views=0), "more or fewer views"),
    "alice deals more bytes than the views can be": (
        wave_changed(2, size_bytes=ROUND.challenge.body.waves[1].views * VIEW_BYTES_MAX + 1),
        "larger than its views",
    ),
    "alice deals a wave of petabytes": (wave_changed(1, size_bytes=2**53 - 1), "larger than its views"),
    "bob deals": (sign(BOB, ROUND.challenge.body), "not drawn to deal"),
    "carol deals": (sign(CAROL, ROUND.challenge.body), "not drawn to deal"),
    "bob locks": (sign(BOB, ROUND.locks[0].body), "not drawn to deal"),
    "bob reports": (sign(BOB, ROUND.header.body), "not drawn to deal"),
    "commits out of order": (lock(commits=COMMITS[::-1]), "not in order or doubled"),
    "a commit twice": (lock(commits=(*COMMITS, COMMITS[-1])), "not in order or doubled"),
    "dave in the lock": (
        lock(commits=tuple(sorted((*COMMITS, CommitRef(DAVE, bytes(32))), key=lambda ref: ref.encoder))),
        "a stranger to the shard",
    ),
    "a lock over too few": (lock(commits=COMMITS[: PARAMETERS.encoders_min - 1]), "fewer encoders"),
    "a lock over nobody": (lock(commits=()), "fewer encoders"),
    "no key after wave 1": (lock(1, next_wave_key=b""), "brings no key where one belongs"),
    "half a key after wave 2": (lock(2, next_wave_key=bytes(16)), "brings no key where one belongs"),
    "a key after wave 3": (lock(3, next_wave_key=bytes(32)), "one where none does"),
    "dave commits": (sign(DAVE, ROUND.commit(CAROL, 1).body), "not in the shard"),
    "bob commits": (sign(BOB, ROUND.commit(CAROL, 1).body), "not in the shard"),
    "dave reveals": (sign(DAVE, ROUND.reveal(CAROL).body), "not in the shard"),
    "alice reveals": (sign(ALICE, ROUND.reveal(CAROL).body), "not in the shard"),
    "a report over too few items": (report(items=PARAMETERS.scored_items - 1), "more or fewer items"),
    "a report over too many items": (report(items=2**53 - 1), "more or fewer items"),
    "a report of petabytes": (report(body_bytes=BODY_BYTES_MAX + 1), "larger than any report"),
    "carol attests": (attestation(CAROL).data, "no validator"),
    "carol disputes": (sign(CAROL, dispute()), "no validator"),
    "carol announces a certificate": (sign(CAROL, certificate()), "no validator"),
    "a certificate without a quorum": (
        sign(BOB, certificate(attestations=VOTES[:2])),
        "less than two thirds",
    ),
    "a certificate with a vote twice": (
        sign(BOB, certificate(attestations=(*VOTES, VOTES[-1]))),
        "not in order or doubled",
    ),
    "a certificate of another report": (sign(BOB, certificate(report=bytes(32))), "not its validator's"),
    "a certificate of another round": (
        sign(BOB, certificate(at=shard_round(GENESIS, 0, 0))),
        "not its validator's",
    ),
    "a certificate with a vote by carol": (
        sign(BOB, certificate_of(*GENESIS.validators, CAROL)),
        "no validator",
    ),
    "evidence of garbage": (
        sign(BOB, Evidence(Offence.EQUIVOCATION, (b"\x90", b"\x91"))),
        "it accuses nobody",
    ),
    "evidence of evidence": (
        sign(BOB, equivocation(ROUND.sign(BOB, two_faced(ALICE)), ROUND.sign(CAROL, two_faced(ALICE)))),
        "it accuses nobody",
    ),
    "evidence of one statement": (
        sign(BOB, equivocation(attestation(ALICE), attestation(ALICE))),
        "the same or out of order",
    ),
    "evidence of two keys": (
        sign(BOB, equivocation(attestation(ALICE, "one"), attestation(BOB, "other"))),
        "not one member's",
    ),
}


@pytest.mark.parametrize(("data", "reason"), REJECTED.values(), ids=REJECTED.keys())
def test_statement_no_honest_node_makes__is_rejected(data: bytes, reason: str) -> None:
    judgement = Listener().hear(data)
    assert judgement.verdict is Verdict.REJECT
    assert reason in judgement.reason
    assert judgement.statement is None


@pytest.mark.parametrize("statement", ROUND.said, ids=lambda statement: statement.kind.value)
def test_statement_with_a_foreign_signature__is_rejected(statement: Statement[Body]) -> None:
    judgement = Listener().hear(ROUND.forged(statement.signer, statement.body).data)
    assert (judgement.verdict, judgement.reason) == (
        Verdict.REJECT,
        "its signature is not its signer's",
    )


def test_key_that_is_no_member__is_rejected() -> None:
    guest = small_network(1, 1, seed="guest")[1][0]
    people = {**ROUND.people, guest.key: guest}
    world = HonestRound(
        GENESIS, people, AT, ROUND.header, ROUND.certificate, ROUND.body, ROUND.said, ROUND.told, ROUND.deal
    )
    judgement = Listener().hear(world.sign(guest.key, Attestation(AT, bytes(32))).data)
    assert (judgement.verdict, judgement.reason) == (
        Verdict.REJECT,
        "its signer is no member of its epoch",
    )
    assert public_key(guest.seed) not in GENESIS.validators


START_MS = slot_start_ms(GENESIS, AT.round)
LAST_MS = slot_start_ms(GENESIS, AT.round + ROUNDS_KEPT + 1) - 1
EVIDENCE_LAST_MS = slot_start_ms(GENESIS, AT.round + EVIDENCE_ROUNDS_KEPT + 1) - 1


@pytest.mark.parametrize(
    ("data", "now_ms", "verdict", "reason"),
    [
        (ROUND.challenge.data, START_MS - CLOCK_SKEW_MS, Verdict.ACCEPT, ""),
        (ROUND.challenge.data, START_MS - CLOCK_SKEW_MS - 1, Verdict.IGNORE, "its round has not begun"),
        (ROUND.challenge.data, 0, Verdict.IGNORE, "its round has not begun"),
        (ROUND.challenge.data, LAST_MS, Verdict.ACCEPT, ""),
        (ROUND.challenge.data, LAST_MS + 1, Verdict.IGNORE, "its round is over"),
        (sign(BOB, two_faced(ALICE)), START_MS - CLOCK_SKEW_MS - 1, Verdict.IGNORE, "has not begun"),
        (sign(BOB, two_faced(ALICE)), EVIDENCE_LAST_MS, Verdict.ACCEPT, ""),
        (sign(BOB, two_faced(ALICE)), EVIDENCE_LAST_MS + 1, Verdict.IGNORE, "its round is over"),
    ],
)
def test_round_window__holds_to_the_millisecond(
    data: bytes, now_ms: int, verdict: Verdict, reason: str
) -> None:
    judgement = Listener(now_ms=now_ms).hear(data)
    assert judgement.verdict is verdict
    assert reason in judgement.reason


def test_statement_seen_before__is_ignored_whatever_its_signature() -> None:
    listener = Listener()
    assert listener.hear(ROUND.challenge.data).verdict is Verdict.ACCEPT
    for data in (ROUND.challenge.data, ROUND.forged(ALICE, ROUND.challenge.body).data):
        judgement = listener.hear(data)
        assert (judgement.verdict, judgement.reason) == (Verdict.IGNORE, "seen before")
        assert judgement.statement is None


def test_topics__carry_every_kind_but_reveals() -> None:
    topic = Topic(GENESIS.network_id)
    kinds = {kind: topic.of(kind) for kind in Kind}
    assert kinds.pop(Kind.REVEAL) is None
    assert {kind for kind, name in kinds.items() if name == topic.rounds} == {
        Kind.CHALLENGE,
        Kind.LOCK,
        Kind.CERTIFICATE,
        Kind.EVIDENCE,
        Kind.EPOCH_CERTIFICATE,
    }
    assert set(kinds.values()) == {topic.rounds, topic.votes}
    assert Topic(bytes(32)).rounds != topic.rounds


# -- fuzz --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["challenge", "attestation"])
def test_statement__is_rejected_on_the_other_topic_only(kind: str) -> None:
    topics = Topic(GENESIS.network_id)
    data = challenge() if kind == "challenge" else attestation(BOB).data
    own, other = (topics.rounds, topics.votes) if kind == "challenge" else (topics.votes, topics.rounds)
    refused = Listener().hear(data, other)
    assert (refused.verdict, refused.reason) == (
        Verdict.REJECT,
        "it is gossiped on another topic than its kind's",
    )
    assert Listener().hear(data, own).verdict is Verdict.ACCEPT
    assert Listener().hear(data).verdict is Verdict.ACCEPT
