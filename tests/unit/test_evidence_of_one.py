"""Evidence of one statement, and of votes on records: it convicts its author alone, in any order."""

from __future__ import annotations

from functools import cache
from itertools import combinations
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import decode, encode
from protocol.evidence import EvidenceError, equivocation, false_certificate, wrong_preimage
from protocol.genesis import Genesis
from protocol.hashing import digest
from protocol.hearing import Hearing
from protocol.messages import (
    AttestationRef,
    Body,
    Evidence,
    Offence,
    Precommit,
    Prevote,
    Proposal,
)
from protocol.schedule import ShardRound
from protocol.statement import Statement
from protocol.verdict import Verdict
from tests.support.agreeing import Agreeing
from tests.support.epochs import check_evidence, dealer_of, epochs_of
from tests.support.honest_round import honest_round

ROUND = honest_round()
GENESIS, AT = ROUND.genesis, ROUND.at
ALICE, BOB, CAROL = ROUND.dealer, ROUND.bystanders[0], ROUND.shard[0]
VOTES = ROUND.certificate.body.attestations
SLOT = ShardRound(0, 5, 0)


def changed(record: Any, /, **changes: object) -> Any:
    return msgspec.structs.replace(record, **changes)


def lie(preimage: bytes = bytes(32)) -> Statement[Any]:
    return ROUND.sign(ALICE, changed(ROUND.header.body, preimage=preimage))


def refused(evidence: Evidence) -> str:
    with pytest.raises(EvidenceError) as caught:
        check_evidence(GENESIS, evidence)
    return str(caught.value)


# -- wrong preimages ---------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(preimage=st.binary(min_size=32, max_size=32))
def test_report_with_another_preimage__convicts_its_dealer_by_itself(preimage: bytes) -> None:
    evidence = wrong_preimage(lie(preimage))
    assert len(evidence.statements) == 1
    offline = Genesis.from_bytes(GENESIS.data)
    again = decode(encode(evidence), Evidence, size_bytes_max=1 << 20)
    if preimage == ROUND.header.body.preimage:
        assert "the preimage is the one its place asks for" in refused(again)
    else:
        assert check_evidence(offline, again) == ALICE


def test_honest_report__is_no_evidence_of_a_wrong_preimage() -> None:
    assert refused(wrong_preimage(ROUND.header)) == "the preimage is the one its place asks for"


def test_preimage_of_another_round__is_wrong_here() -> None:
    places = (ShardRound(0, round_, 0) for round_ in range(2, 16))
    elsewhere = next(at for at in places if dealer_of(GENESIS, at) == ALICE)
    report = ROUND.sign(ALICE, changed(ROUND.header.body, at=elsewhere))
    assert check_evidence(GENESIS, wrong_preimage(report)) == ALICE


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (ROUND.sign(BOB, lie().body), "its signer was not drawn to deal"),
        (ROUND.sign(CAROL, lie().body), "its signer was not drawn to deal"),
        (ROUND.forged(ALICE, lie().body), "a statement is not signed by its signer"),
        (ROUND.challenge, "not a report"),
        (ROUND.certificate, "not a report"),
    ],
)
def test_wrong_preimage_of_somebody_else__convicts_nobody(report: Any, reason: str) -> None:
    assert refused(wrong_preimage(report)) == reason


# -- false certificates ------------------------------------------------------------------------------------

FALSE: dict[str, dict[str, object]] = {
    "too few votes": {"attestations": VOTES[:2]},
    "a vote twice": {"attestations": (VOTES[0], *VOTES)},
    "votes out of order": {"attestations": VOTES[::-1]},
    "another report": {"report": bytes(32)},
    "another round": {"at": ShardRound(0, 2, 0)},
    "a vote of no validator": {
        "attestations": tuple(
            sorted((*VOTES, AttestationRef(CAROL, bytes(64))), key=lambda vote: vote.validator)
        )
    },
    "a forged vote": {"attestations": (AttestationRef(VOTES[0].validator, bytes(64)), *VOTES[1:])},
}


@pytest.mark.parametrize("changes", FALSE.values(), ids=FALSE.keys())
@pytest.mark.parametrize("signer", [BOB, CAROL])
def test_false_certificate__convicts_who_signed_it_by_itself(
    signer: bytes, changes: dict[str, object]
) -> None:
    statement = ROUND.sign(signer, changed(ROUND.certificate.body, **changes))
    evidence = false_certificate(statement)
    assert evidence.offence is Offence.FALSE_CERTIFICATE
    again = decode(encode(evidence), Evidence, size_bytes_max=1 << 20)
    assert check_evidence(Genesis.from_bytes(GENESIS.data), again) == signer


def test_certificate_that_holds__is_no_evidence_whoever_signs_it() -> None:
    for key in (*GENESIS.validators, CAROL):
        assert refused(false_certificate(ROUND.sign(key, ROUND.certificate.body))) == "the certificate holds"
    assert refused(false_certificate(ROUND.header)) == "not a certificate"  # type: ignore[arg-type]
    forged: Any = ROUND.forged(BOB, changed(ROUND.certificate.body, report=bytes(32)))
    assert refused(false_certificate(forged)) == "a statement is not signed by its signer"


def test_false_certificates__are_refused_and_accused_once_however_many_come() -> None:
    hearing = Hearing(epochs_of(GENESIS))
    found = []
    for number in range(5):
        false = ROUND.sign(BOB, changed(ROUND.certificate.body, report=digest(f"{number}")))
        heard = hearing.hear(false.data, ROUND.now_ms)
        assert heard.judgement.verdict is Verdict.REJECT
        found.append(heard.evidence)
    assert found[0] is not None
    assert check_evidence(GENESIS, found[0]) == BOB
    assert found[1:] == [None] * 4


# -- any of them -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offence", Offence)
def test_evidence__takes_just_the_statements_of_its_offence(offence: Offence) -> None:
    alone = (Offence.WRONG_PREIMAGE, Offence.FALSE_CERTIFICATE)
    statements = sorted((ROUND.header.data, lie().data), key=digest)
    wrong = Evidence(offence, tuple(statements) if offence in alone else (lie().data,))
    assert refused(wrong) == "more or fewer statements than this offence takes"


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_honest_statement__convicts_nobody_alone_or_beside_another(data: st.DataObject) -> None:
    said = [*ROUND.said, ROUND.header, ROUND.certificate]
    first, second = (data.draw(st.sampled_from(said)) for _ in range(2))
    for offence in Offence:
        alone = Evidence(offence, (first.data,))
        pair = Evidence(offence, equivocation(first, second).statements)
        for evidence in (alone, pair):
            with pytest.raises(EvidenceError):
                check_evidence(GENESIS, evidence)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_changed_statement__convicts_nobody(data: st.DataObject) -> None:
    false = ROUND.sign(BOB, changed(ROUND.certificate.body, report=bytes(32)))
    evidence = data.draw(st.sampled_from([wrong_preimage(lie()), false_certificate(false)]))
    statement = bytearray(evidence.statements[0])
    statement[data.draw(st.integers(0, len(statement) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(EvidenceError):
        check_evidence(GENESIS, Evidence(evidence.offence, (bytes(statement),)))


# -- votes on records --------------------------------------------------------------------------------------

VOTED: list[tuple[Body, Body]] = [
    (
        Proposal(SLOT, 1, bytes(32), 9, digest("a"), 0, ()),
        Proposal(SLOT, 1, bytes(32), 9, digest("b"), 0, ()),
    ),
    (Prevote(SLOT, 1, digest("a"), digest("i"), 9), Prevote(SLOT, 1, digest("b"), digest("i"), 9)),
    (Precommit(SLOT, 1, digest("a")), Precommit(SLOT, 1, digest("b"))),
]


@pytest.mark.parametrize(("one", "other"), VOTED, ids=["proposal", "prevote", "precommit"])
def test_two_votes_on_records_in_one_slot__convict_in_either_order(one: Body, other: Body) -> None:
    first, second = (ROUND.sign(BOB, body) for body in (one, other))
    evidence = equivocation(first, second)
    assert evidence == equivocation(second, first)
    assert check_evidence(GENESIS, evidence) == BOB
    later = ROUND.sign(BOB, changed(other, at=ShardRound(0, 6, 0)))
    assert refused(equivocation(first, later)) == "the statements belong to different slots"


def test_a_vote_of_each_kind_for_each_record__is_no_equivocation() -> None:
    for one, other in combinations([pair[0] for pair in VOTED], 2):
        pair = equivocation(ROUND.sign(BOB, one), ROUND.sign(BOB, other))
        assert refused(pair) == "the statements belong to different slots"


@cache
def votes_of_honest_validators(seed: int) -> tuple[Statement[Body], ...]:
    """What three of four said in slots of losses and restarts, the fourth lying."""
    world = Agreeing(3)
    for slot in range(12):
        for index, node in enumerate(world.nodes.values()):
            if (seed + slot) % 3 == index:
                world.restart(node.key)
            node.heard = {(seed + slot + index) % 6}
        world.run_slot(seed * 31 + slot, 0.7, late=0.2, ends=0.3)
    return tuple(one for one in world.said.values() if one.signer != world.liar)


@pytest.mark.parametrize("seed", range(1, 5))
def test_honest_votes_on_records__convict_nobody(seed: int) -> None:
    said = votes_of_honest_validators(seed)
    assert len(said) > 5
    for first, second in combinations(said, 2):
        if first.signer == second.signer and first.kind is second.kind:
            assert first.body.at != second.body.at  # type: ignore[union-attr]
