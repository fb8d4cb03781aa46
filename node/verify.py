"""Check a certified report offline, from one file and one network id that is trusted.

Cheapest claims first: whatever was changed in a bundle is found by a digest or a signature before anything is
recomputed.
"""

from __future__ import annotations

from dataclasses import dataclass

from node.bundle import Bundle, BundleError, named_answers
from node.certified import (
    Check,
    ChecksDone,
    CheckStep,
    OnStep,
    VerificationFailed,
    checked_certificate,
    checked_header,
    stake_of,
    trusted_genesis,
)
from node.scoring_task import ScoringTaskError, compare_task
from protocol.audit import AuditedReport, AuditError, audit_report
from protocol.batch import PPM
from protocol.codec import CodecError
from protocol.epochs.agreed import EpochCertificateError, checked_record
from protocol.epochs.record import NOTHING, EncoderTable, RecordError, table_of
from protocol.epochs.view import Epoch
from protocol.genesis import Genesis
from protocol.hashing import content_digest
from protocol.messages import Report
from protocol.report import Deviation
from protocol.schedule import ShardRound
from protocol.statement import Statement


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
    done = ChecksDone(on_step)
    trusted = trusted_genesis(bundle.genesis, network_id, genesis)
    members = trusted.content
    done.add(Check.NETWORK, {"validators": len(members.validators), "encoders": len(members.encoders)})
    epoch = _epoch(bundle, trusted)
    done.add(Check.EPOCH, {"records": epoch.number, "members": len(epoch.validators) + len(epoch.encoders)})
    header = checked_header(epoch, bundle.header)
    done.add(Check.HEADER, {"signatures": 1})
    certificate = checked_certificate(epoch, bundle.certificate, header)
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
        stake=stake_of(epoch, certificate),
        total_stake=epoch.total_stake,
        steps=tuple(done.steps),
        deviations=deviations,
        items=audited.batch.items,
        consensus=audited.body.scores.consensus,
    )


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
