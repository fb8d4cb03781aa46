"""Certificates: attestations of two thirds of the stake, each of a validator, in order, signed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.certificates import CertificateError, make_certificate
from protocol.genesis import Genesis
from protocol.messages import Attestation, AttestationRef, Certificate
from protocol.quorum import quorum_stake
from protocol.schedule import ShardRound
from protocol.signatures import sign
from protocol.statement import Statement, assemble, statement_digest
from tests.support.epochs import check_certificate
from tests.support.genesis import small_network

AT = ShardRound(0, 3, 0)
REPORT = bytes(range(32))
BASE, PEOPLE, ENCODERS = small_network(7, 3, items=8)


def changed(record: Any, /, **changes: object) -> Any:
    return msgspec.structs.replace(record, **changes)


def with_stakes(*stakes: int) -> Genesis:
    """The first so many validators with these stakes."""
    members = tuple(
        changed(member, stake=stake) for member, stake in zip(BASE.content.validators, stakes, strict=False)
    )
    return Genesis(changed(BASE.content, validators=members))


def vote(genesis: Genesis, index: int, report: bytes = REPORT, at: ShardRound = AT) -> Statement[Attestation]:
    person = [*PEOPLE, *ENCODERS][index]
    body = Attestation(at, report)
    name = statement_digest(genesis.network_id, person.key, body)
    return assemble(genesis.network_id, person.key, body, sign(person.seed, name))


def certificate(genesis: Genesis, *indices: int) -> Certificate:
    return make_certificate(AT, REPORT, [vote(genesis, index) for index in indices])


def refused(genesis: Genesis, claimed: Certificate) -> str:
    with pytest.raises(CertificateError) as caught:
        check_certificate(genesis, claimed)
    return str(caught.value)


@settings(max_examples=40)
@given(
    stakes=st.lists(st.integers(1, 2**40), min_size=1, max_size=7),
    data=st.data(),
)
def test_certificate__stands_exactly_with_a_quorum_of_stake(stakes: list[int], data: st.DataObject) -> None:
    genesis = with_stakes(*stakes)
    voters = data.draw(st.sets(st.integers(0, len(stakes) - 1), min_size=1))
    claimed = certificate(genesis, *data.draw(st.permutations(sorted(voters))))
    if sum(stakes[index] for index in voters) >= quorum_stake(sum(stakes)):
        check_certificate(genesis, claimed)
    else:
        assert refused(genesis, claimed) == "its attestations hold less than two thirds of the stake"


@pytest.mark.parametrize(
    ("stakes", "voters", "stands"),
    [
        ((1,), (0,), True),
        ((1, 1), (0,), False),
        ((1, 1, 1), (0, 1), True),
        ((1, 1, 1), (0,), False),
        ((1, 1, 1, 1), (0, 1), False),
        ((1, 1, 1, 1), (0, 1, 2), True),
        ((2, 1), (0,), True),
        ((2**53 - 1, 2**53 - 1, 2**53 - 1), (0, 1), True),
        ((2**53 - 1, 2**53 - 2, 2**53 - 1), (1, 2), False),
        ((2**53 - 1, 1, 1), (1, 2), False),
    ],
)
def test_quorum__is_exact_at_its_edge(stakes: tuple[int, ...], voters: tuple[int, ...], stands: bool) -> None:
    genesis = with_stakes(*stakes)
    claimed = certificate(genesis, *voters)
    if stands:
        check_certificate(genesis, claimed)
        assert [ref.validator for ref in claimed.attestations] == sorted(PEOPLE[i].key for i in voters)
    else:
        assert "less than two thirds" in refused(genesis, claimed)


def test_any_two_certificates_of_a_round__share_a_third_of_the_stake() -> None:
    """So that two reports are certified only if a third of the stake is caught voting twice."""
    genesis = with_stakes(3, 1, 4, 1, 5, 9, 2)
    for mask in range(1, 1 << 7):
        for other in range(1, 1 << 7):
            stake = [
                sum(m.stake for n, m in enumerate(genesis.content.validators) if bits >> n & 1)
                for bits in (mask, other, mask & other)
            ]
            if min(stake[:2]) >= quorum_stake(genesis.total_stake):
                assert 3 * stake[2] >= genesis.total_stake


def test_votes_out_of_order_doubled_or_none__are_refused() -> None:
    genesis = with_stakes(1, 1, 1, 1)
    votes = certificate(genesis, 0, 1, 2).attestations
    for wrong in (votes[::-1], (*votes, votes[-1]), (votes[0], *votes)):
        assert "not in order or doubled" in refused(genesis, Certificate(AT, REPORT, wrong))
    assert "less than two thirds" in refused(genesis, Certificate(AT, REPORT, ()))


def test_vote_of_an_encoder_or_stranger__is_refused_whatever_the_rest() -> None:
    genesis = with_stakes(1, 1, 1)
    for stranger in (5, 7):
        claimed = certificate(genesis, 0, 1, 2, stranger)
        assert refused(genesis, claimed) == "an attestation by a key that is no validator of its epoch"


def test_vote_for_another_report_round_or_network__is_refused() -> None:
    genesis, elsewhere = with_stakes(1, 1, 1), with_stakes(1, 1, 2)
    good = [vote(genesis, 0), vote(genesis, 1)]
    for wrong in (
        vote(genesis, 2, report=bytes(32)),
        vote(genesis, 2, at=ShardRound(0, 4, 0)),
        vote(elsewhere, 2),
    ):
        claimed = make_certificate(AT, REPORT, [*good, wrong])
        assert refused(genesis, claimed) == "an attestation's signature is not its validator's"
    check_certificate(genesis, make_certificate(AT, REPORT, [*good, vote(genesis, 2)]))


def test_signature_under_another_name__is_refused() -> None:
    genesis = with_stakes(1, 1, 1)
    first, second, third = certificate(genesis, 0, 1, 2).attestations
    swapped = (
        AttestationRef(first.validator, second.signature),
        AttestationRef(second.validator, first.signature),
        third,
    )
    assert "not its validator's" in refused(genesis, Certificate(AT, REPORT, swapped))
