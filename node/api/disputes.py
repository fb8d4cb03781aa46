"""Disputes decoded: who refuses which report, for which term, by how much."""

from __future__ import annotations

from node.api.models.rounds import Dispute
from node.api.service import Service
from node.store import DisputeRecord
from protocol.messages import Dispute as DisputeBody
from protocol.statement import expect


def dispute_of(service: Service, record: DisputeRecord) -> Dispute:
    """One stored dispute as the API tells it. Raises StoreError."""
    body, report, unreadable = None, None, ""
    try:
        body = expect(record.envelope, service.genesis.network_id, DisputeBody).body
        report = service.store.statement(body.report)
    except ValueError as error:  # no statement of this network, or text that is not UTF-8
        unreadable = f"unreadable: {error}"
    epoch = service.epochs.by_record(record.round // service.genesis.parameters.epoch_rounds)
    member = epoch.validators.get(record.disputer) if epoch is not None else None
    return Dispute(
        digest=record.digest.hex(),
        round=record.round,
        shard=record.shard,
        disputer=record.disputer.hex(),
        stake=member.stake if member is not None else 0,
        report=body.report.hex() if body is not None else None,
        dealer=report.signer.hex() if report is not None else None,
        term=body.term if body is not None else None,
        encoder=body.encoder.hex() if body is not None and body.encoder else None,
        difference_ppm=body.difference_ppm if body is not None else None,
        tolerance_ppm=service.genesis.parameters.tolerance_ppm,
        detail=body.detail if body is not None else unreadable,
        received_ms=record.received_ms,
    )
