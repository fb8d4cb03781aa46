"""Check a certified report offline, from one file and one network id that is trusted.

Cheapest claims first: whatever was changed in a bundle is found by a digest or a signature before anything is
recomputed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from node.bundle import Bundle, BundleError, named_answers
from node.scoring_task import ScoringTaskError, compare_task
from protocol.audit import AuditedReport, AuditError, audit_report
from protocol.batch import PPM
from protocol.certificates import CertificateError, check_certificate
from protocol.codec import CodecError, decode
from protocol.epochs.agreed import EpochCertificateError, checked_record
from protocol.epochs.record import NOTHING, EncoderTable, RecordError, table_of
from protocol.epochs.view import Epoch
from protocol.genesis import Genesis, GenesisError
from protocol.hashing import content_digest, digest
from protocol.messages import Certificate, Report
from protocol.report import Deviation
from protocol.schedule import ShardRound, dealer_of, is_scheduled
from protocol.statement import ENVELOPE_BYTES_MAX, Statement, expect


class Check(StrEnum):
    """What is checked, in this order."""

    NETWORK = "network"
    """The genesis is that of the network one trusts."""
    EPOCH = "epoch"
    """The members of the report's epoch: its record follows from genesis, each step certified."""
    HEADER = "header"
    """The report is signed by the validator drawn to deal this shard-round."""
    CERTIFICATE = "certificate"
    """Validators with at least two thirds of the stake signed that they agree with this report."""
    BODY = "body"
    """The body is the one the header names."""
    ANSWERS = "answers"
    """The answers are those the body names, all of them and no others."""
    AUDIT = "audit"
    """Items come from the committed pool, masks from the committed secret, reveals open the commits."""
    CONSENSUS = "consensus"
    """The consensus vectors are those the header binds."""
    NUMBERS = "numbers"
    """Terms, scores, weights and consensus, recomputed, lie within the network's tolerance."""


@dataclass(frozen=True, slots=True)
class CheckStep:
    """A check that held, and how much of what it covered."""

    check: Check
    counts: Mapping[str, int]
    """What was counted, in plural -> how many."""


@dataclass(frozen=True, slots=True)
class Verification:
    """A report whose every claim holds."""

    network_id: bytes
    at: ShardRound
    report: bytes
    """Digest of the Report statement: what was certified."""
    dealer: bytes
    stake: int
    """Of the validators who attested."""
    total_stake: int
    steps: tuple[CheckStep, ...]
    deviations: tuple[Deviation, ...]
    """The largest of every term, all within the tolerance."""
    items: tuple[bytes, ...]
    """In batch order."""
    consensus: bytes
    """Float32 [items, 1024], raw: what the certificate binds; NaN where nobody answered validly."""


class VerificationFailed(Exception):  # noqa: N818 (an outcome, not a fault of this program)
    """A claim of the bundle does not hold; nothing in it should be believed."""

    def __init__(self, check: Check, reason: str) -> None:
        super().__init__(f"{check.value}: {reason}")
        self.check = check
        self.reason = reason


OnStep = Callable[[CheckStep], None]


def verify_bundle(
    bundle: Bundle,
    network_id: bytes | None = None,
    genesis: Genesis | None = None,
    on_step: OnStep | None = None,
    *,
    device: str = "cpu",
) -> Verification:
    """Check everything a bundle claims, starting from a network id or genesis that the caller trusts.

    `on_step` is told of every check that held. Raises VerificationFailed at the first that does not.
    """
    done = _Done(on_step)
    trusted = _network(bundle, network_id, genesis)
    members = trusted.content
    done.add(Check.NETWORK, {"validators": len(members.validators), "encoders": len(members.encoders)})
    epoch = _epoch(bundle, trusted)
    done.add(Check.EPOCH, {"records": epoch.number, "members": len(epoch.validators) + len(epoch.encoders)})
    header = _header(bundle, epoch)
    done.add(Check.HEADER, {"signatures": 1})
    certificate = _certificate(bundle, epoch, header)
    done.add(Check.CERTIFICATE, {"attestations": len(certificate.attestations)})
    named = _body(bundle, trusted, header.body)
    done.add(Check.BODY, {"bytes": len(bundle.body)})
    blobs = _answers(bundle, named)
    done.add(Check.ANSWERS, {"answers": len(blobs), "bytes": sum(map(len, blobs.values()))})
    audited = _audit(bundle, epoch, header)
    done.add(Check.AUDIT, _audit_counts(audited))
    done.add(Check.CONSENSUS, {"vectors": len(audited.batch.items)})
    blobs[epoch.record.means] = memoryview(bundle.means)
    deviations = _numbers(audited, blobs, trusted.parameters.tolerance_ppm, device)
    done.add(Check.NUMBERS, {"terms": len(deviations), "encoders": len(audited.task.encoders)})
    return Verification(
        network_id=trusted.network_id,
        at=header.body.at,
        report=header.digest,
        dealer=header.signer,
        stake=sum(epoch.validators[vote.validator].stake for vote in certificate.attestations),
        total_stake=epoch.total_stake,
        steps=tuple(done.steps),
        deviations=deviations,
        items=audited.batch.items,
        consensus=audited.body.scores.consensus,
    )


@dataclass
class _Done:
    """The checks that held so far: at most one of each."""

    on_step: OnStep | None
    steps: list[CheckStep] = field(default_factory=list)

    def add(self, check: Check, counts: Mapping[str, int]) -> None:
        step = CheckStep(check, counts)
        self.steps.append(step)
        if self.on_step is not None:
            self.on_step(step)


def _network(bundle: Bundle, network_id: bytes | None, genesis: Genesis | None) -> Genesis:
    if network_id is None and genesis is None:
        raise VerificationFailed(
            Check.NETWORK, "no network to trust was given: pass a network id or a genesis file"
        )
    found = digest("genesis", bundle.genesis)
    for trusted in (network_id, genesis.network_id if genesis is not None else None):
        if trusted is not None and found != trusted:
            raise VerificationFailed(
                Check.NETWORK,
                f"the report is of network {found.hex()[:16]}, not of {trusted.hex()[:16]} which you trust",
            )
    try:
        return Genesis.from_bytes(bundle.genesis)
    except GenesisError as error:
        raise VerificationFailed(Check.NETWORK, f"the genesis is none: {error}") from error


def _epoch(bundle: Bundle, genesis: Genesis) -> Epoch:
    """The last epoch of the bundle's chain."""
    epoch = Epoch.first(genesis)
    try:
        for told in bundle.epochs:
            epoch = Epoch(genesis, checked_record(epoch, told), EncoderTable(()))
        if epoch.number:
            epoch = Epoch(genesis, epoch.record, table_of(epoch.record, bundle.encoders))
        elif bundle.encoders:
            raise RecordError("it brings encoders for epoch 0, whose encoders are genesis'")
        if (content_digest(bundle.means) if bundle.means else NOTHING) != epoch.record.means:
            raise RecordError("its encoders' means are not those the record names")
    except (CodecError, RecordError, EpochCertificateError) as error:
        raise VerificationFailed(Check.EPOCH, str(error)) from error
    return epoch


def _header(bundle: Bundle, epoch: Epoch) -> Statement[Report]:
    genesis = epoch.genesis
    try:
        header = expect(bundle.header, genesis.network_id, Report)
    except ValueError as error:  # not canonical, not signed, of another network or kind, or not UTF-8
        raise VerificationFailed(Check.HEADER, str(error)) from error
    if not is_scheduled(genesis, header.body.at):
        raise VerificationFailed(Check.HEADER, f"this network has no shard-round {header.body.at}")
    if header.body.at.epoch != epoch.number:
        raise VerificationFailed(Check.HEADER, f"its chain of epochs ends with {epoch.number}")
    if header.signer != dealer_of(epoch, header.body.at):
        raise VerificationFailed(Check.HEADER, "the report is not by the validator drawn to deal")
    return header


def _certificate(bundle: Bundle, epoch: Epoch, header: Statement[Report]) -> Certificate:
    try:
        certificate = decode(bundle.certificate, Certificate, size_bytes_max=ENVELOPE_BYTES_MAX)
        if (certificate.at, certificate.report) != (header.body.at, header.digest):
            raise CertificateError("it certifies another report")
        check_certificate(epoch, certificate)
    except (CodecError, CertificateError) as error:
        raise VerificationFailed(Check.CERTIFICATE, str(error)) from error
    return certificate


def _body(bundle: Bundle, genesis: Genesis, header: Report) -> dict[bytes, int]:
    """Digests and sizes of the answers the body names."""
    if len(bundle.body) != header.body_bytes or content_digest(bundle.body) != header.body:
        raise VerificationFailed(Check.BODY, "the body is not the one the header names")
    try:
        return named_answers(bundle.body, genesis.network_id)
    except BundleError as error:
        raise VerificationFailed(Check.BODY, str(error)) from error


def _answers(bundle: Bundle, named: dict[bytes, int]) -> dict[bytes, memoryview]:
    """Answers by digest, once each is known to be the one named."""
    if len(bundle.answers) != len(named):
        raise VerificationFailed(
            Check.ANSWERS, f"the bundle holds {len(bundle.answers)} answers where the body names {len(named)}"
        )
    blobs = dict(zip(named, bundle.answers, strict=True))
    for name, data in blobs.items():
        if len(data) != named[name] or content_digest(data) != name:
            raise VerificationFailed(Check.ANSWERS, f"answers {name.hex()[:16]} are not what was revealed")
    return blobs


def _audit(bundle: Bundle, epoch: Epoch, header: Statement[Report]) -> AuditedReport:
    try:
        return audit_report(epoch, header, bundle.body)
    except AuditError as error:
        check = Check.CONSENSUS if error.term == "consensus" else Check.AUDIT
        by = f" (encoder {error.encoder.hex()[:16]})" if error.encoder else ""
        raise VerificationFailed(check, f"{error}{by}") from error
    except UnicodeDecodeError as error:
        raise VerificationFailed(Check.AUDIT, f"a statement holds text that is not UTF-8: {error}") from error


def _audit_counts(audited: AuditedReport) -> dict[str, int]:
    body, batch = audited.body, audited.batch
    return {
        "scored items": len(body.scored),
        "served items": len(body.served),
        "views": sum(map(len, batch.waves)),
        "commits": len(body.commits),
        "locks": len(body.locks),
        "reveals": len(body.reveals),
    }


def _numbers(
    audited: AuditedReport, blobs: dict[bytes, memoryview], tolerance_ppm: int, device: str
) -> tuple[Deviation, ...]:
    from scoring import ScoringError

    try:
        deviations = compare_task(audited.task, blobs.get, audited.body.scores, device=device)
    except (ScoringTaskError, ScoringError) as error:
        raise VerificationFailed(Check.NUMBERS, f"they cannot be recomputed: {error}") from error
    worst = max(deviations, key=lambda deviation: deviation.difference_ppm)
    if worst.difference_ppm > tolerance_ppm:
        whose = f" of encoder {worst.encoder.hex()[:16]}" if worst.encoder else ""
        raise VerificationFailed(
            Check.NUMBERS,
            f"{worst.term}{whose}, recomputed, lies {worst.difference_ppm / PPM:.6f} from what is claimed; "
            f"the network's tolerance is {tolerance_ppm / PPM}",
        )
    return deviations
