"""Certified reports by their digest, as the store has them."""

from __future__ import annotations

from dataclasses import dataclass

from node.api.ids import bytes_of, unknown
from node.api.service import Service
from node.store import RoundRecord
from protocol.codec import decode
from protocol.messages import Certificate, Report
from protocol.statement import ENVELOPE_BYTES_MAX, Statement, expect


@dataclass(frozen=True, slots=True)
class CertifiedReport:
    """A report's signed header and its certificate; both were checked before they were stored."""

    record: RoundRecord
    header: Statement[Report]
    certificate: Certificate
    certificate_data: bytes


def certified_report(service: Service, text: str) -> CertifiedReport:
    """The certified report whose digest is `text` in hex. Raises ApiError, StoreError."""
    name = bytes_of(text, "digest")
    place = service.store.place_of_report(name)
    record = None if place is None else service.store.round(*place)
    found = None if record is None else certified_of(service, record)
    if found is None:
        raise unknown(
            f"this node has no certified report {text[:16]}",
            "/v1/rounds lists those it has; give it a minute to catch up, or ask another validator",
            "digest",
            "unknown_report",
        )
    return found


def certified_of(service: Service, record: RoundRecord) -> CertifiedReport | None:
    """The certified report of a round; None before it has one. Raises StoreError."""
    if record.header is None or record.certificate is None:
        return None
    try:
        header = expect(record.header, service.genesis.network_id, Report)
        certificate = decode(record.certificate, Certificate, size_bytes_max=ENVELOPE_BYTES_MAX)
    except ValueError:  # damaged on disk: as good as not there
        return None
    return CertifiedReport(record, header, certificate, record.certificate)
