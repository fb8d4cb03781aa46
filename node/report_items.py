"""The items of a certified round: challenge items are kept nowhere but in its report."""

from __future__ import annotations

from node.store import RoundRecord, Store
from protocol.codec import CodecError, decode
from protocol.genesis import Genesis
from protocol.items import item_id
from protocol.messages import Report
from protocol.report import BODY_BYTES_MAX, ReportBody
from protocol.statement import StatementError, expect


def items_of_report(store: Store, genesis: Genesis, record: RoundRecord | None) -> dict[bytes, bytes]:
    """The items of a stored round's report by id; empty where its header or body is not held."""
    if record is None or record.header is None:
        return {}
    try:
        data = store.blobs.get(expect(record.header, genesis.network_id, Report).body.body)
        if data is None:
            return {}
        body = decode(data, ReportBody, size_bytes_max=BODY_BYTES_MAX)
    except (StatementError, CodecError):
        return {}
    return {item_id(item): item for item in (*(one.data for one in body.scored), *body.served)}
