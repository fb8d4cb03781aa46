"""The gossip rules, row by row: who says what when, and what becomes of it.

Alice deals the round, Bob is another validator, Carol an encoder of the shard and Dave one outside of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import certificates, evidence
from protocol.certificates import make_certificate
from protocol.evidence import Slot, equivocation
from protocol.genesis import VIEW_OVERHEAD_BYTES, views_bounds
from protocol.gossip_rules import (
    CLOCK_SKEW_MS,
    EVIDENCE_ROUNDS_KEPT,
    ROUNDS_KEPT,
    Gossip,
    Judgement,
    Topic,
    judge,
    known_slot,
)
from protocol.hashing import digest
from protocol.items import ITEM_BYTES_MAX
from protocol.messages import (
    BODIES,
    Attestation,
    Body,
    Certificate,
    CommitRef,
    Dispute,
    Evidence,
    Kind,
    Offence,
)
from protocol.report import BODY_BYTES_MAX
from protocol.schedule import ShardRound, shard_round, slot_start_ms
from protocol.signatures import public_key
from protocol.statement import ENVELOPE_BYTES_MAX, Statement
from protocol.verdict import Verdict
from tests.support.epochs import epochs_of
from tests.support.genesis import small_network
from tests.support.honest_round import HonestRound, honest_round
from tests.support.record_strategies import records

ROUND = honest_round()
ALICE, BOB, CAROL, DAVE = ROUND.dealer, ROUND.bystanders[0], ROUND.shard[0], ROUND.stranger
GENESIS, AT = ROUND.genesis, ROUND.at
PARAMETERS = GENESIS.parameters


@dataclass
class Listener:
    """What one node has heard so far."""

    now_ms: int = ROUND.now_ms
    seen: set[bytes] = field(default_factory=set)
    slots: dict[Slot, Statement[Body]] = field(default_factory=dict)

    def hear(self, data: bytes, topic: str | None = None) -> Judgement:
        first_in_slot: Callable[[Any], Statement[Body] | None] = self.slots.get
        judgement = judge(
            data, Gossip(epochs_of(GENESIS), self.now_ms, self.seen.__contains__, first_in_slot, topic)
        )
        if judgement.verdict is Verdict.ACCEPT:
            assert judgement.statement is not None
            self.seen.add(judgement.statement.digest)
            slot = known_slot(judgement.statement, GENESIS.network_id)
            assert slot is not None
            self.slots.setdefault(slot, judgement.statement)
        return judgement


def changed(record: Any, /, **changes: object) -> Any:
    return msgspec.structs.replace(record, **changes)


def sign(key: bytes, body: Body) -> bytes:
    return ROUND.sign(key, body).data


def challenge(**changes: object) -> bytes:
    return sign(ALICE, changed(ROUND.challenge.body, **changes))


def wave_changed(wave: int, **changes: object) -> bytes:
    waves = list(ROUND.challenge.body.waves)
    waves[wave - 1] = changed(waves[wave - 1], **changes)
    return challenge(waves=tuple(waves))


def lock(wave: int = 1, **changes: object) -> bytes:
    return sign(ALICE, changed(ROUND.locks[wave - 1].body, **changes))


def report(**changes: object) -> bytes:
    return sign(ALICE, changed(ROUND.header.body, **changes))


def attestation(key: bytes, name: str = "report", at: ShardRound = AT) -> Statement[Attestation]:
    return ROUND.sign(key, Attestation(at, digest("test-report", name.encode())))


def dispute(detail: str = "") -> Dispute:
    return Dispute(AT, ROUND.header.digest, "score", CAROL, 5, detail)


def two_faced(key: bytes, at: ShardRound = AT) -> Evidence:
    return equivocation(attestation(key, "one", at), attestation(key, "other", at))


def certificate(**changes: object) -> Certificate:
    return changed(ROUND.certificate.body, **changes)  # type: ignore[no-any-return]


def certificate_of(*keys: bytes) -> Certificate:
    vote = Attestation(AT, ROUND.header.digest)
    return make_certificate(AT, ROUND.header.digest, [ROUND.sign(key, vote) for key in keys])


VOTES = ROUND.certificate.body.attestations
COMMITS = ROUND.locks[0].body.commits
FEWEST, MOST = views_bounds(PARAMETERS, 3)
VIEW_BYTES_MAX = ITEM_BYTES_MAX + VIEW_OVERHEAD_BYTES
AT_LAST = shard_round(GENESIS, PARAMETERS.chain_length, 0)
HONEST = {statement.data for statement in ROUND.said}


@pytest.mark.parametrize("statement", ROUND.said, ids=lambda statement: statement.kind.value)
def test_everything_said_in_an_honest_round__is_accepted(statement: Statement[Body]) -> None:
    judgement = Listener().hear(statement.data)
    assert (judgement.verdict, judgement.reason) == (Verdict.ACCEPT, "")
    assert judgement.statement == statement


ACCEPTED = {
    "bob disputes": sign(BOB, dispute()),
    "bob shows that alice said two things": sign(BOB, two_faced(ALICE)),
    "carol, an encoder, shows that alice said two things": sign(CAROL, two_faced(ALICE)),
    "alice is shown her own evidence": sign(ALICE, two_faced(ALICE)),
    "bob announces the certificate": sign(BOB, certificate()),
    "alice deals the most views": wave_changed(3, views=MOST, size_bytes=0),
    "alice deals the fewest views": wave_changed(3, views=FEWEST, size_bytes=0),
    "alice deals the largest views": wave_changed(3, views=MOST, size_bytes=MOST * VIEW_BYTES_MAX),
    "alice locks as few encoders as a round needs": lock(commits=COMMITS[: PARAMETERS.encoders_min]),
    "bob attests to a report nobody has seen yet": attestation(BOB, "unheard of").data,
}


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


SECOND = {
    "a second challenge": (ROUND.challenge.data, challenge(wave_key=bytes(32))),
    "a second lock": (ROUND.locks[1].data, lock(2, next_wave_key=bytes(32))),
    "a second report": (ROUND.header.data, report(body=bytes(32))),
    "a second commit": (
        ROUND.commit(CAROL, 2).data,
        sign(CAROL, changed(ROUND.commit(CAROL, 2).body, commitment=bytes(32))),
    ),
    "a second reveal": (
        ROUND.reveal(CAROL).data,
        sign(CAROL, changed(ROUND.reveal(CAROL).body, lock=bytes(32))),
    ),
    "a second attestation": (attestation(BOB, "one").data, attestation(BOB, "other").data),
    "a second dispute": (sign(BOB, dispute()), sign(BOB, dispute("and another thing"))),
    "a certificate announced again": (sign(ALICE, certificate()), sign(BOB, certificate())),
    "a certificate with other votes": (
        ROUND.certificate.data,
        sign(ALICE, certificate_of(*GENESIS.validators)),
    ),
    "evidence found by another": (sign(BOB, two_faced(ALICE)), sign(CAROL, two_faced(ALICE))),
    "more evidence of the same round": (
        sign(BOB, two_faced(ALICE)),
        sign(BOB, equivocation(attestation(ALICE, "one"), attestation(ALICE, "third"))),
    ),
}


@pytest.mark.parametrize(("first", "second"), SECOND.values(), ids=SECOND.keys())
def test_second_statement_for_a_slot__is_neither_forwarded_nor_held_against_who_sent_it(
    first: bytes, second: bytes
) -> None:
    listener = Listener()
    assert listener.hear(first).verdict is Verdict.ACCEPT
    judgement = listener.hear(second)
    assert (judgement.verdict, judgement.reason) == (
        Verdict.IGNORE,
        "its slot is taken by another statement",
    )
    # Handed over, so that the node can make evidence of two votes.
    assert judgement.statement is not None
    assert judgement.statement.data == second
    # A node that hears them the other way round keeps the other one.
    other = Listener()
    assert other.hear(second).verdict is Verdict.ACCEPT
    assert other.hear(first).verdict is Verdict.IGNORE


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (ROUND.locks[0].data, ROUND.locks[1].data),
        (ROUND.commit(CAROL, 1).data, ROUND.commit(CAROL, 2).data),
        (attestation(ALICE).data, attestation(BOB).data),
        (attestation(BOB).data, sign(BOB, dispute())),
        (sign(BOB, two_faced(ALICE)), sign(BOB, two_faced(BOB))),
    ],
    ids=["waves", "commits of waves", "keys", "vote and dispute", "offenders"],
)
def test_statements_for_different_slots__are_both_accepted(first: bytes, second: bytes) -> None:
    listener = Listener()
    assert [listener.hear(data).verdict for data in (first, second)] == [Verdict.ACCEPT] * 2


@pytest.mark.parametrize("body", [ROUND.certificate.body, two_faced(ALICE)], ids=["certificate", "evidence"])
def test_costly_proof__is_not_looked_at_before_the_signature_of_who_brings_it(
    body: Body, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else anybody could make everybody verify thousands of signatures for one forged message."""

    def never(*_: object) -> bool:
        raise AssertionError("an inner signature was verified")

    monkeypatch.setattr(certificates, "verify", never)
    monkeypatch.setattr(evidence, "verify_signature", never)
    assert Listener().hear(ROUND.forged(BOB, body).data).reason == "its signature is not its signer's"
    with pytest.raises(AssertionError, match="an inner signature"):
        Listener().hear(sign(BOB, body))


def test_accepted_statements__are_bounded_by_the_slots_of_the_members() -> None:
    """One member repeating itself in other words gets one message through."""
    listener = Listener()
    said = [sign(BOB, dispute(str(n))) for n in range(20)]
    said += [sign(BOB, equivocation(attestation(BOB, "0"), attestation(BOB, str(n)))) for n in range(1, 20)]
    assert [listener.hear(data).verdict for data in said].count(Verdict.ACCEPT) == 2
    assert len(listener.slots) == 2


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

SAID = [statement.data for statement in ROUND.said] + list(ACCEPTED.values())


@settings(max_examples=150)
@given(data=st.data())
def test_mutated_envelope__never_raises_and_is_never_accepted(data: st.DataObject) -> None:
    original = data.draw(st.sampled_from(SAID))
    mutated = bytearray(original)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(mutated) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "insert", "splice"])):
            case "flip":
                mutated[place] ^= data.draw(st.integers(1, 255))
            case "cut":
                del mutated[place : place + data.draw(st.integers(1, 40))]
            case "insert":
                mutated[place:place] = data.draw(st.binary(min_size=1, max_size=40))
            case _:
                other = data.draw(st.sampled_from(SAID))
                mutated[place:] = other[place:]
        if not mutated:
            break
    judgement = Listener().hear(bytes(mutated))
    if bytes(mutated) not in SAID:
        assert judgement.verdict is not Verdict.ACCEPT
    assert judgement.reason or judgement.verdict is Verdict.ACCEPT


@pytest.mark.parametrize("kind", BODIES.values(), ids=lambda kind: kind.__name__)
@settings(max_examples=12)
@given(data=st.data())
def test_any_body_a_member_can_sign__gets_a_verdict(kind: type[Body], data: st.DataObject) -> None:
    body = data.draw(records(kind))
    if not isinstance(body, Evidence) and data.draw(st.booleans()):
        body = msgspec.structs.replace(body, at=AT)
    key = data.draw(st.sampled_from([ALICE, BOB, CAROL, DAVE]))
    listener = Listener()
    judgement = listener.hear(sign(key, body))
    assert isinstance(judgement.verdict, Verdict)
    if judgement.verdict is Verdict.ACCEPT:
        again = listener.hear(sign(key, body))
        assert again.verdict is Verdict.IGNORE


@given(data=st.binary(max_size=200))
def test_any_bytes__are_rejected(data: bytes) -> None:
    assert Listener().hear(data).verdict is Verdict.REJECT


@settings(max_examples=30)
@given(order=st.permutations(range(len(SAID))))
def test_honest_statements__are_accepted_in_any_order(order: list[int]) -> None:
    """All but those that repeat a certificate or evidence already known."""
    listener = Listener()
    honest = [data for data in (SAID[number] for number in order) if data in HONEST]
    assert all(listener.hear(data).verdict is Verdict.ACCEPT for data in honest)
    assert len(honest) == len(HONEST)


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
