"""Epochs: who the members are, by which votes that stands, and the bytes a client verifies."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from node.api.answers import BYTES_ANSWER, answer, refusals, unchanging
from node.api.epoch_view import detail_of, summary_of
from node.api.errors import ApiError
from node.api.ids import Before, Limit, Number, unknown
from node.api.models.epochs import EpochDetail, EpochPage
from node.api.reading import epoch_here
from node.api.remembered import RememberedRoute
from node.api.service import Service, ServiceOf
from node.store import EpochRow
from protocol.codec import decode, encode
from protocol.epochs.agreed import CertifiedRecord
from protocol.epochs.record import NOTHING, RECORD_BYTES_MAX
from protocol.epochs.view import Epoch
from protocol.hashing import content_digest
from protocol.messages import EpochCertificate

router = APIRouter(prefix="/v1/epochs", tags=["epochs"], route_class=RememberedRoute)

EPOCHS_TOLD: Final = 20


@router.get(
    "",
    operation_id="list_epochs",
    summary="The newest epochs",
    response_model=EpochPage,
    responses=refusals(400),
)
def list_epochs(service: ServiceOf, limit: Limit = EPOCHS_TOLD, before: Before = None) -> Response:
    """Epochs from the newest down to epoch 0, which is genesis'."""
    newest = service.store.newest_epoch()
    top = newest if before is None else min(newest, before - 1)
    numbers = range(top, max(-1, top - limit), -1)
    found = [epoch for number in numbers if (epoch := service.epochs.by_record(number)) is not None]
    last = numbers[-1] if numbers else 0
    return answer(EpochPage(epochs=tuple(map(summary_of, found)), next_before=last if last > 0 else None))


@router.get(
    "/{number}",
    operation_id="get_epoch",
    summary="One epoch: its record, members and votes",
    response_model=EpochDetail,
    responses=refusals(400, 404),
)
def get_epoch(service: ServiceOf, number: Number) -> Response:
    """The record decoded, with the validators' votes it stands by."""
    epoch = epoch_here(service, number)
    row = _row(service, number) if number else None
    certificate = None
    if row is not None:
        certificate = decode(row.certificate, EpochCertificate, size_bytes_max=RECORD_BYTES_MAX)
    before = service.epochs.by_record(number - 1) if number else None
    return answer(detail_of(epoch, certificate, before))


@router.get(
    "/{number}/record",
    operation_id="get_epoch_record",
    summary="The record and its certificate, to verify",
    response_class=Response,
    responses=BYTES_ANSWER | refusals(400, 404),
)
def get_epoch_record(request: Request, service: ServiceOf, number: Number) -> Response:
    """Canonical msgpack of a certified record. Epoch 0 has none: its record follows from genesis."""
    if number == 0:
        raise unknown(
            "epoch 0 has no certified record",
            "its record follows from /v1/genesis; records are certified from epoch 1 on",
            "number",
            "no_record",
        )
    epoch_here(service, number)
    row = _row(service, number)
    certificate = decode(row.certificate, EpochCertificate, size_bytes_max=RECORD_BYTES_MAX)
    data = encode(CertifiedRecord(row.record, certificate))
    return unchanging(request, content_digest(data), data)


@router.get(
    "/{number}/encoders",
    operation_id="get_epoch_encoders",
    summary="The canonical encoders' table",
    response_class=Response,
    responses=BYTES_ANSWER | refusals(400, 404),
)
def get_epoch_encoders(request: Request, service: ServiceOf, number: Number) -> Response:
    """Canonical msgpack; the record names it by its content digest."""
    epoch = epoch_here(service, number)
    data = encode(epoch.table) if number == 0 else service.store.encoders_of(number)
    if data is None:
        raise unknown(
            f"the encoders of epoch {number} are kept here no longer",
            f"only those from epoch {service.store.encoders_kept_from()} on are (retention_epochs): "
            "ask a validator that keeps more",
            "number",
            "encoders_not_held",
        )
    return unchanging(request, epoch.record.encoders, data)


@router.get(
    "/{number}/means",
    operation_id="get_epoch_means",
    summary="The canonical encoders' means",
    response_class=Response,
    responses=BYTES_ANSWER | refusals(400, 404),
)
def get_epoch_means(request: Request, service: ServiceOf, number: Number) -> Response:
    """What encoders' answers are centred on before they are scored; the record names it by its digest."""
    return _learnt(request, service, epoch_here(service, number), "means")


@router.get(
    "/{number}/moments",
    operation_id="get_epoch_moments",
    summary="The canonical moments of the consensus",
    response_class=Response,
    responses=BYTES_ANSWER | refusals(400, 404),
)
def get_epoch_moments(request: Request, service: ServiceOf, number: Number) -> Response:
    """What the shaping transform of the epoch's space follows from; the record names it by its digest."""
    return _learnt(request, service, epoch_here(service, number), "moments")


def _learnt(request: Request, service: Service, epoch: Epoch, what: str) -> Response:
    name = epoch.record.means if what == "means" else epoch.record.moments
    if name == NOTHING:
        raise unknown(
            f"the record of epoch {epoch.number} names no {what}",
            "there are none before the first epoch with certified rounds: vectors are then as they came",
            "number",
            "no_" + what,
        )
    data = service.store.blobs.get(name)
    if data is None:
        raise unknown(
            f"the {what} of epoch {epoch.number} are not held here",
            "old ones are dropped, new ones may be on their way: ask for a later epoch, or another validator",
            "number",
            what + "_not_held",
        )
    return unchanging(request, name, data)


def _row(service: Service, number: int) -> EpochRow:
    rows = service.store.epoch_rows(number, 1)
    if not rows or rows[0].epoch != number:
        raise ApiError(
            404, f"the record of epoch {number} is not here: /v1/epochs lists them", param="number"
        )
    return rows[0]
