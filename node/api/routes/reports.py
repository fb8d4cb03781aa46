"""Reports and certificates, by the digest they share."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from node.api.answers import (
    BYTES,
    BYTES_ANSWER,
    FINAL,
    answer,
    is_known,
    refusals,
    unchanging,
    unchanging_headers,
)
from node.api.bundles import open_bundle
from node.api.certified import CertifiedReport, certified_report
from node.api.errors import ApiError
from node.api.ids import Digest, unknown
from node.api.models.base import base64
from node.api.models.reports import CertificateDetail, Place, ReportDetail
from node.api.service import Service, ServiceOf
from node.api.votes import stake_of, votes_told
from node.bundle import BUNDLE_SUFFIX, BundleError
from node.store import StoreError
from protocol.schedule import ShardRound

router = APIRouter(prefix="/v1", tags=["reports"])


@router.get(
    "/reports/{digest}",
    operation_id="get_report",
    summary="The header of a certified report",
    response_model=ReportDetail,
    responses=refusals(400, 404),
)
def get_report(service: ServiceOf, digest: Digest) -> Response:
    """What the dealer signed and the validators certified; the body is named in it by its digest."""
    found = certified_report(service, digest)
    body = found.header.body
    return answer(
        ReportDetail(
            report=found.header.digest.hex(),
            at=_place(body.at),
            dealer=found.header.signer.hex(),
            challenge=body.challenge.hex(),
            lock=body.lock.hex(),
            body=body.body.hex(),
            body_bytes=body.body_bytes,
            body_held=service.store.blobs.has(body.body),
            items=body.items,
            consensus_root=body.consensus_root.hex(),
            preimage=body.preimage.hex(),
            header=base64(found.header.data),
        )
    )


@router.get(
    "/reports/{digest}/body",
    operation_id="get_report_body",
    summary="The body of a certified report",
    response_class=Response,
    responses=BYTES_ANSWER | refusals(400, 404),
)
def get_report_body(request: Request, service: ServiceOf, digest: Digest) -> Response:
    """Canonical msgpack: items, mask secret, commits, reveals, scores and consensus vectors."""
    found = certified_report(service, digest)
    return unchanging(request, found.header.body.body, _body(service, found))


@router.get(
    "/reports/{digest}/bundle",
    operation_id="get_report_bundle",
    summary="A certified report as one file that anyone can verify",
    response_class=StreamingResponse,
    responses=BYTES_ANSWER | refusals(400, 404),
)
def get_report_bundle(request: Request, service: ServiceOf, digest: Digest) -> Response:
    """A `.dmr` file for `deltamesh verify`, as `deltamesh rounds export` writes it, answers included."""
    found = certified_report(service, digest)
    name = found.header.digest
    headers = unchanging_headers(name, BUNDLE_SUFFIX)
    if is_known(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    try:
        bundle = open_bundle(
            service.store, service.genesis, found.header, _body(service, found), found.certificate
        )
    except (BundleError, StoreError) as error:
        raise ApiError(404, str(error), param="digest", code="bundle_not_held") from None
    at = found.header.body.at
    headers["Content-Length"] = str(bundle.size_bytes)
    headers["Content-Disposition"] = f'attachment; filename="round-{at.round}-{at.shard}{BUNDLE_SUFFIX}"'
    return StreamingResponse(bundle.parts, media_type=BYTES, headers=headers)


@router.get(
    "/certificates/{digest}",
    operation_id="get_certificate",
    summary="The certificate of a report",
    response_model=CertificateDetail,
    responses=refusals(400, 404),
)
def get_certificate(service: ServiceOf, digest: Digest) -> Response:
    """Who attested, with what stake. Its id is the digest of the report it certifies."""
    found = certified_report(service, digest)
    epoch = service.epochs.by_record(found.record.epoch)
    votes = found.certificate.attestations
    return answer(
        CertificateDetail(
            id=found.header.digest.hex(),
            at=_place(found.certificate.at),
            attestations=votes_told(epoch, votes),
            stake=stake_of(epoch, [vote.validator for vote in votes]),
            total_stake=None if epoch is None else epoch.total_stake,
            header=base64(found.header.data),
            certificate=base64(found.certificate_data),
        ),
        FINAL,
    )


def _body(service: Service, found: CertifiedReport) -> bytes:
    data = service.store.blobs.get(found.header.body.body)
    if data is None:
        attested = ", ".join(vote.validator.hex()[:8] for vote in found.certificate.attestations[:8])
        raise unknown(
            f"the body of report {found.header.digest.hex()[:16]} is not held here",
            f"ask a validator that attested it: {attested}",
            "digest",
            "body_not_held",
        )
    return data


def _place(at: ShardRound) -> Place:
    return Place(epoch=at.epoch, round=at.round, shard=at.shard)
