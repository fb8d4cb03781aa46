"""Offline verification: honest rounds pass, every kind of lie is refused by the check it belongs to."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from node.bundle import Bundle
from node.certified import REPORT_CHECKS, Check, CheckStep, VerificationFailed
from node.verify import verify_bundle
from protocol.certificates import make_certificate
from protocol.codec import encode
from protocol.messages import AttestationRef
from protocol.probes import probe_count
from protocol.report import VECTOR_BYTES, ReportBody, Term
from protocol.schedule import ShardRound
from tests.support.certified_round import CertifiedRound, Fault, certified_round
from tests.support.genesis import small_network


def refusal(bundle: Bundle, trusted: CertifiedRound | None = None) -> VerificationFailed:
    """How verification fails against the network of the honest round."""
    network_id = (trusted or certified_round()).genesis.network_id
    with pytest.raises(VerificationFailed) as failed:
        verify_bundle(bundle, network_id)
    assert str(failed.value) == f"{failed.value.check.value}: {failed.value.reason}"
    return failed.value


def changed_scores(**changes: object) -> ReportBody:
    body = certified_round().body
    return msgspec.structs.replace(body, scores=msgspec.structs.replace(body.scores, **changes))


def added(values: bytes, place: int, difference: float, kind: str = "<f8") -> bytes:
    array = np.frombuffer(values, kind).copy()
    array[place] += difference
    return array.tobytes()


@pytest.mark.parametrize("masks", [1, 2])
def test_certified_report__passes_every_check_in_order(masks: int) -> None:
    honest = certified_round(masks=masks)
    told: list[CheckStep] = []
    verification = verify_bundle(honest.bundle, honest.genesis.network_id, on_step=told.append)
    assert [step.check for step in told] == list(REPORT_CHECKS)
    assert tuple(told) == verification.steps
    assert verification.report == honest.header.digest
    assert verification.at == ShardRound(0, 0, 0)
    assert 3 * verification.stake >= 2 * verification.total_stake
    counts = {step.check: step.counts for step in told}
    views = 64 * (1 + 2 * masks) + probe_count(64, masks)
    assert counts[Check.AUDIT] == {
        "scored items": 64,
        "served items": 0,
        "views": views,
        "commits": 12,
        "locks": 3,
        "reveals": 4,
    }
    assert counts[Check.ANSWERS] == {"answers": 12, "bytes": 4 * views * VECTOR_BYTES}
    terms = {deviation.term for deviation in verification.deviations}
    assert {"valid", "score", "weight", "consensus", "discrimination"} <= terms
    tolerance_ppm = honest.genesis.parameters.tolerance_ppm
    assert max(deviation.difference_ppm for deviation in verification.deviations) <= tolerance_ppm


def test_report_of_a_network_that_names_no_first_mask__is_verified_with_its_own_masks() -> None:
    old, new = certified_round(first_mask="spans"), certified_round()
    assert verify_bundle(old.bundle, old.genesis.network_id).report == old.header.digest
    assert b"spans" not in old.genesis.data
    least = [min(of_item[0] for of_item in made.task.batch.mask_share_ppm) for made in (old, new)]
    assert least[0] < 300_000 < least[1]  # an end is 40 % of the words or more, a span may be 15 %


@pytest.mark.parametrize(("fault", "reveals"), [(Fault.SILENT, 3), (Fault.NAN, 4), (Fault.COPY, 4)])
def test_round_with_a_faulty_encoder__passes_all_the_same(fault: Fault, reveals: int) -> None:
    held = certified_round(fault=fault)
    assert len(held.body.reveals) == reveals
    verification = verify_bundle(held.bundle, genesis=held.genesis)
    assert [step.check for step in verification.steps] == list(REPORT_CHECKS)


def test_nothing_to_trust__is_refused() -> None:
    with pytest.raises(VerificationFailed, match="pass a network id or a genesis"):
        verify_bundle(certified_round().bundle)


def test_other_network__is_refused_by_id_and_by_genesis() -> None:
    honest = certified_round()
    other, _, _ = small_network(seed="b")
    assert refusal(certified_round("b").bundle).check is Check.NETWORK
    with pytest.raises(VerificationFailed, match="which you trust"):
        verify_bundle(honest.bundle, genesis=other)
    with pytest.raises(VerificationFailed, match="which you trust"):
        verify_bundle(honest.bundle, honest.genesis.network_id, other)


def test_report_of_another_network_in_this_ones_genesis__is_refused() -> None:
    honest, other = certified_round().bundle, certified_round("b").bundle
    assert refusal(msgspec.structs.replace(other, genesis=honest.genesis)).check is Check.HEADER


def test_fewer_attestations_than_the_quorum__are_refused() -> None:
    honest = certified_round()
    votes = honest.certificate.attestations
    few = msgspec.structs.replace(honest.certificate, attestations=votes[:2])
    failed = refusal(msgspec.structs.replace(honest.bundle, certificate=encode(few)))
    assert failed.check is Check.CERTIFICATE
    assert "two thirds" in failed.reason


def test_certificate_with_doubled_reordered_or_strange_votes__is_refused() -> None:
    honest = certified_round()
    votes = honest.certificate.attestations
    strange = AttestationRef(min(honest.encoders), votes[0].signature)
    swapped = (AttestationRef(votes[0].validator, votes[1].signature), *votes[1:])
    for attestations in (
        (*votes, votes[-1]),
        votes[::-1],
        tuple(sorted((*votes, strange), key=lambda vote: vote.validator)),
        swapped,
    ):
        certificate = msgspec.structs.replace(honest.certificate, attestations=attestations)
        failed = refusal(msgspec.structs.replace(honest.bundle, certificate=encode(certificate)))
        assert failed.check is Check.CERTIFICATE


def test_certificate_of_another_report__is_refused() -> None:
    honest = certified_round()
    for changes in ({"report": bytes(32)}, {"at": ShardRound(0, 1, 0)}):
        certificate = msgspec.structs.replace(honest.certificate, **changes)
        failed = refusal(msgspec.structs.replace(honest.bundle, certificate=encode(certificate)))
        assert (failed.check, failed.reason) == (Check.CERTIFICATE, "it certifies another report")


def test_certificate_without_votes__is_refused() -> None:
    honest = certified_round()
    empty = make_certificate(honest.header.body.at, honest.header.digest, ())
    assert (
        refusal(msgspec.structs.replace(honest.bundle, certificate=encode(empty))).check is Check.CERTIFICATE
    )


def test_report_by_another_validator__is_refused_though_it_is_signed() -> None:
    honest = certified_round()
    other = next(key for key in honest.validators if key != honest.header.signer)
    header = honest.sign(other, honest.header.body)
    failed = refusal(msgspec.structs.replace(honest.bundle, header=header))
    assert (failed.check, failed.reason) == (
        Check.HEADER,
        "the report is not by the validator drawn to deal",
    )


def test_statement_of_another_kind_as_header__is_refused() -> None:
    honest = certified_round()
    assert refusal(msgspec.structs.replace(honest.bundle, header=honest.body.challenge)).check is Check.HEADER


def test_round_that_cannot_be__is_refused() -> None:
    honest = certified_round()
    for at in (ShardRound(0, 0, 1), ShardRound(1, 0, 0)):
        report = msgspec.structs.replace(honest.header.body, at=at)
        header = honest.sign(honest.header.signer, report)
        failed = refusal(msgspec.structs.replace(honest.bundle, header=header))
        assert (failed.check, failed.reason[:25]) == (Check.HEADER, "this network has no shard")


def test_swapped_missing_and_extra_answers__are_refused() -> None:
    bundle = certified_round().bundle
    first, second, *rest = bundle.answers
    fourth = rest[1]  # of the same wave as the first, by another encoder
    for answers in (
        (second, first, *rest),
        (fourth, second, rest[0], first, *rest[2:]),
        bundle.answers[:-1],
        (*bundle.answers, first),
        (memoryview(bytes(first) + bytes(4)), *bundle.answers[1:]),
        (first[:-4], *bundle.answers[1:]),
        (),
    ):
        assert refusal(msgspec.structs.replace(bundle, answers=answers)).check is Check.ANSWERS


def test_changed_payload_of_a_nan__is_refused() -> None:
    held = certified_round(fault=Fault.NAN)
    bundle = held.bundle
    place = next(
        number
        for number, data in enumerate(bundle.answers)
        if np.isnan(np.frombuffer(data, "<f4")[:1024]).all()
    )
    changed = bytearray(bundle.answers[place])
    changed[0] ^= 1
    assert np.isnan(np.frombuffer(changed, "<f4")[0])
    answers = list(bundle.answers)
    answers[place] = memoryview(bytes(changed))
    failed = refusal(msgspec.structs.replace(bundle, answers=tuple(answers)), held)
    assert failed.check is Check.ANSWERS


LIES = {
    "score": lambda scores: {"score": added(scores.score, 1, 0.01)},
    "weight": lambda scores: {"weight": added(scores.weight, 0, -0.01)},
    "discrimination": lambda scores: {
        "terms": tuple(
            Term(term.name, added(term.values, 2, 0.01)) if term.name == "discrimination" else term
            for term in scores.terms
        )
    },
    "beauty": lambda scores: {"terms": (*scores.terms, Term("beauty", bytes(32)))},
    "valid": lambda scores: {"valid": b"\x00" + scores.valid[1:]},
}


@pytest.mark.parametrize("term", LIES)
def test_false_number_that_everybody_certified__is_refused(term: str) -> None:
    honest = certified_round()
    failed = refusal(honest.certify(changed_scores(**LIES[term](honest.body.scores))))
    assert failed.check is Check.NUMBERS
    assert failed.reason.startswith(term)


def test_number_within_the_tolerance__passes_and_is_told() -> None:
    honest = certified_round()
    bundle = honest.certify(changed_scores(score=added(honest.body.scores.score, 1, 0.0005)))
    verification = verify_bundle(bundle, honest.genesis.network_id)
    (score,) = [deviation for deviation in verification.deviations if deviation.term == "score"]
    assert 200 < score.difference_ppm < 500
    assert score.encoder == honest.task.encoders[1]


def test_consensus_that_the_header_does_not_bind__is_refused() -> None:
    honest = certified_round()
    vectors = added(honest.body.scores.consensus, 5, 1e-6, "<f4")
    failed = refusal(honest.certify(changed_scores(consensus=vectors)))
    assert failed.check is Check.CONSENSUS


def test_consensus_root_of_other_vectors__is_refused() -> None:
    honest = certified_round()
    assert refusal(honest.certify(honest.body, consensus_root=bytes(32))).check is Check.CONSENSUS


def test_false_preimage_that_everybody_certified__is_refused() -> None:
    honest = certified_round()
    assert refusal(honest.certify(honest.body, preimage=bytes(32))).check is Check.AUDIT


@pytest.mark.parametrize(
    "changes",
    [
        {"served": (b"words that nobody has ever been asked to embed",)},
        {"commits": ()},
    ],
    ids=lambda changes: str(*changes),
)
def test_false_history_that_everybody_certified__is_refused(changes: dict[str, object]) -> None:
    honest = certified_round()
    failed = refusal(honest.certify(msgspec.structs.replace(honest.body, **changes)))
    assert failed.check is Check.AUDIT


def test_reveals_left_out_with_their_answers__are_refused_though_everybody_certified_it() -> None:
    honest = certified_round()
    bundle = honest.certify(msgspec.structs.replace(honest.body, reveals=honest.body.reveals[:2]))
    failed = refusal(msgspec.structs.replace(bundle, answers=bundle.answers[:6]))
    assert failed.check is Check.AUDIT
    assert "void" in failed.reason


def test_body_that_is_no_body__is_refused_though_everybody_certified_it() -> None:
    assert refusal(certified_round().certify(b"\x90")).check is Check.BODY


def test_rounds_bundles__do_not_mix() -> None:
    honest, silent = certified_round(), certified_round(fault=Fault.SILENT)
    assert honest.genesis.network_id == silent.genesis.network_id
    for part, check in (("header", Check.CERTIFICATE), ("body", Check.BODY), ("answers", Check.ANSWERS)):
        mixed = msgspec.structs.replace(honest.bundle, **{part: getattr(silent.bundle, part)})
        assert refusal(mixed).check is check
    assert len(silent.bundle.answers) == 9
