"""Evidence: two statements that convict their author, whoever shows them, in any order, and nobody else."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import decode, encode
from protocol.evidence import (
    EvidenceError,
    equivocation,
    false_reveal,
    find_false_reveal,
    vote_slot,
    vote_wave,
)
from protocol.genesis import Genesis
from protocol.messages import Body, Certificate, Dispute, Evidence, Kind, Offence
from protocol.schedule import ShardRound
from protocol.statement import Statement
from tests.support.epochs import check_evidence
from tests.support.honest_round import honest_round

ROUND = honest_round()
GENESIS, AT = ROUND.genesis, ROUND.at
ALICE, BOB, CAROL = ROUND.dealer, ROUND.bystanders[0], ROUND.shard[0]
MIB = 1 << 20


def changed(record: Any, /, **changes: object) -> Any:
    return msgspec.structs.replace(record, **changes)


def sign(key: bytes, body: Any) -> Statement[Any]:
    return ROUND.sign(key, body)


ATTESTATION = next(s for s in ROUND.said if s.kind is Kind.ATTESTATION and s.signer == BOB)
PAIRS: dict[str, tuple[Statement[Any], Statement[Any]]] = {
    "challenge": (ROUND.challenge, sign(ALICE, changed(ROUND.challenge.body, wave_key=bytes(32)))),
    "commit": (
        ROUND.commit(CAROL, 2),
        sign(CAROL, changed(ROUND.commit(CAROL, 2).body, commitment=bytes(32))),
    ),
    "lock": (ROUND.locks[2], sign(ALICE, changed(ROUND.locks[2].body, previous=bytes(32)))),
    "reveal": (ROUND.reveal(CAROL), sign(CAROL, changed(ROUND.reveal(CAROL).body, lock=bytes(32)))),
    "report": (ROUND.header, sign(ALICE, changed(ROUND.header.body, items=9))),
    "attestation": (ATTESTATION, sign(BOB, changed(ATTESTATION.body, report=bytes(32)))),
}
FALSE_REVEAL = sign(
    CAROL,
    changed(ROUND.reveal(CAROL).body, salts=(*ROUND.reveal(CAROL).body.salts[:2], bytes(32))),
)


def convicted(evidence: Evidence) -> bytes:
    return check_evidence(GENESIS, evidence)


def refused(evidence: Evidence) -> str:
    with pytest.raises(EvidenceError) as caught:
        check_evidence(GENESIS, evidence)
    return str(caught.value)


@pytest.mark.parametrize(("first", "second"), PAIRS.values(), ids=PAIRS.keys())
def test_two_statements_for_one_slot__convict_their_author_in_either_order(
    first: Statement[Body], second: Statement[Body]
) -> None:
    evidence = equivocation(first, second)
    assert evidence == equivocation(second, first)
    assert evidence.offence is Offence.EQUIVOCATION
    assert convicted(evidence) == first.signer
    # From its bytes and the genesis alone.
    offline = Genesis.from_bytes(GENESIS.data)
    assert check_evidence(offline, decode(encode(evidence), Evidence, size_bytes_max=MIB)) == first.signer


def test_pairs__name_every_kind_that_has_a_slot() -> None:
    slotted = {s.kind for s in ROUND.said if vote_slot(s) is not None}
    assert {Kind(name) for name in PAIRS} == slotted
    assert vote_slot(ROUND.certificate) is None
    assert {vote_wave(s.body) for s in ROUND.said if s.kind is Kind.LOCK} == {1, 2, 3}
    assert {vote_wave(s.body) for s in ROUND.said if s.kind is Kind.REVEAL} == {0}


def test_honest_statements__convict_nobody_whatever_two_are_put_together() -> None:
    for first, second in combinations(ROUND.said, 2):
        for offence in Offence:
            pair = msgspec.structs.replace(equivocation(first, second), offence=offence)
            with pytest.raises(EvidenceError):
                check_evidence(GENESIS, pair)


@settings(max_examples=60)
@given(data=st.data())
def test_changed_evidence__convicts_nobody(data: st.DataObject) -> None:
    pair = data.draw(st.sampled_from([equivocation(*p) for p in PAIRS.values()]))
    statements = [bytearray(statement) for statement in pair.statements]
    target = data.draw(st.sampled_from(statements))
    target[data.draw(st.integers(0, len(target) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(EvidenceError):
        check_evidence(GENESIS, Evidence(pair.offence, (bytes(statements[0]), bytes(statements[1]))))


def test_evidence_out_of_order_or_of_one_statement__is_refused() -> None:
    pair = equivocation(*PAIRS["lock"])
    assert "out of order" in refused(changed(pair, statements=pair.statements[::-1]))
    assert "the same or out of order" in refused(changed(pair, statements=pair.statements[:1] * 2))


def test_statements_of_two_keys__convict_neither() -> None:
    body = ATTESTATION.body
    pair = equivocation(ATTESTATION, sign(ALICE, changed(body, report=bytes(32))))
    assert refused(pair) == "the statements are not one member's"


def test_statement_somebody_else_signed__convicts_nobody() -> None:
    pair = equivocation(ATTESTATION, ROUND.forged(BOB, changed(ATTESTATION.body, report=bytes(32))))
    assert refused(pair) == "a statement is not signed by its signer"


def test_statements_of_another_network__convict_nobody_here() -> None:
    other = honest_round("b")
    first = other.header
    second = other.sign(other.dealer, changed(first.body, items=9))
    assert "another network" in refused(equivocation(first, second))
    assert check_evidence(other.genesis, equivocation(first, second)) == other.dealer


def test_two_kinds_rounds_or_waves__are_different_slots() -> None:
    for first, second in (
        (ROUND.locks[0], ROUND.locks[1]),
        (ROUND.challenge, ROUND.header),
        (ATTESTATION, sign(BOB, changed(ATTESTATION.body, at=ShardRound(0, 2, 0)))),
        (ATTESTATION, sign(BOB, changed(ATTESTATION.body, at=ShardRound(0, 1, 1)))),
    ):
        assert refused(equivocation(first, second)) == "the statements belong to different slots"


def test_statements_that_may_be_repeated__are_no_equivocation() -> None:
    one, other = (sign(BOB, Dispute(AT, ROUND.header.digest, term, b"", 0, "")) for term in ("a", "b"))
    assert vote_slot(one) is None
    assert refused(equivocation(one, other)) == "the statements belong to different slots"
    votes = ROUND.certificate.body.attestations
    announced = sign(BOB, Certificate(AT, ROUND.header.digest, votes[:1]))
    again = sign(BOB, Certificate(AT, ROUND.header.digest, votes[:2]))
    assert refused(equivocation(announced, again)) == "the statements belong to different slots"
    nested = sign(BOB, equivocation(*PAIRS["lock"])), sign(BOB, equivocation(*PAIRS["report"]))
    assert refused(equivocation(*nested)) == "evidence convicts nobody of giving evidence"


# -- false reveals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wave", [1, 2, 3])
@pytest.mark.parametrize("part", ["salts", "answers"])
def test_reveal_that_does_not_open_a_commit__convicts_its_author(wave: int, part: str) -> None:
    honest = ROUND.reveal(CAROL).body
    values = list(getattr(honest, part))
    values[wave - 1] = bytes(32)
    reveal = sign(CAROL, changed(honest, **{part: tuple(values)}))
    commits = [ROUND.commit(CAROL, number) for number in (1, 2, 3)]
    evidence = find_false_reveal(GENESIS.network_id, reveal, commits)
    assert evidence is not None
    assert evidence == false_reveal(commits[wave - 1], reveal)
    assert convicted(evidence) == CAROL
    others = [commit for commit in commits if commit.body.wave != wave]
    for commit in others:
        assert refused(false_reveal(commit, reveal)) == "the reveal opens the commit"


def test_honest_reveals__are_no_evidence() -> None:
    for key in ROUND.shard:
        commits = [ROUND.commit(key, wave) for wave in (1, 2, 3)]
        assert find_false_reveal(GENESIS.network_id, ROUND.reveal(key), commits) is None
        for commit in commits:
            assert refused(false_reveal(commit, ROUND.reveal(key))) == "the reveal opens the commit"


def test_reveal_of_another_round__does_not_contradict_a_commit() -> None:
    elsewhere = sign(CAROL, changed(FALSE_REVEAL.body, at=ShardRound(0, 2, 0)))
    assert refused(false_reveal(ROUND.commit(CAROL, 3), elsewhere)) == (
        "commit and reveal are of different shard-rounds"
    )


def test_reveal_against_the_commit_of_another__convicts_nobody() -> None:
    other = ROUND.commit(ROUND.shard[1], 3)
    assert refused(false_reveal(other, FALSE_REVEAL)) == "the statements are not one member's"


def test_false_reveal_without_a_reveal_or_commit__is_refused() -> None:
    two_reveals = changed(equivocation(*PAIRS["reveal"]), offence=Offence.FALSE_REVEAL)
    two_commits = changed(equivocation(*PAIRS["commit"]), offence=Offence.FALSE_REVEAL)
    for pair in (two_reveals, two_commits):
        assert refused(pair) == "not a commit and a reveal"
    assert convicted(changed(two_reveals, offence=Offence.EQUIVOCATION)) == CAROL
