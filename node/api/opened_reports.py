"""Bodies of certified reports, opened: their items, and the tree their certificate binds.

Opening takes milliseconds, so the last ones are remembered; opened twice at once they cost twice, no more.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from node.epochs.history import ReadEpochs
from node.store import RoundRecord, Store
from protocol.batch import batch_items
from protocol.codec import CodecError, decode
from protocol.hashing import DIGEST_BYTES
from protocol.items import item_id
from protocol.merkle import MerkleTree
from protocol.messages import Report
from protocol.report import BODY_BYTES_MAX, ReportBody, consensus_leaves
from protocol.schedule import mask_secret
from protocol.statement import Statement, StatementError, expect

OPENED_BYTES_MAX: Final = 32 << 20
"""Of items and trees remembered; a report of 256 texts takes about 100 KB. One may always be held."""
_NODE_BYTES: Final = 3 * DIGEST_BYTES
"""A digest and its place in Python's memory; a tree has two nodes a leaf."""


class ReportNotHeldError(LookupError):
    """The report cannot be opened here; the message says why."""


@dataclass(frozen=True, slots=True)
class OpenedReport:
    """One certified report."""

    header: Statement[Report]
    items: tuple[bytes, ...]
    """In batch order."""
    positions: dict[bytes, int]
    """By item id."""
    tree: MerkleTree
    """Over item ids and raw consensus vectors."""

    def position_of(self, item: bytes) -> int:
        """Where an item stands in the batch. Raises ReportNotHeldError."""
        found = self.positions.get(item)
        if found is None:
            raise ReportNotHeldError(
                f"the report of round {self.header.body.at.round} does not name this item"
            )
        return found

    @property
    def size_bytes(self) -> int:
        """About what it takes in memory."""
        return sum(map(len, self.items)) + len(self.items) * (2 * _NODE_BYTES + 200)


class OpenedReports:
    """Opens the reports of stored rounds and remembers the last. Thread-safe."""

    def __init__(self, store: Store, epochs: ReadEpochs, bytes_max: int = OPENED_BYTES_MAX) -> None:
        self._store = store
        self._epochs = epochs
        self._bytes_max = bytes_max
        self._size_bytes = 0
        self._opened: OrderedDict[bytes, OpenedReport] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, record: RoundRecord) -> OpenedReport:
        """The report of a certified round. Raises ReportNotHeldError, StoreError."""
        name = record.report_digest
        if name is None or record.header is None or record.certificate is None:
            raise ReportNotHeldError(
                f"round {record.round} shard {record.shard} has no certified report here"
            )
        with self._lock:
            found = self._opened.get(name)
            if found is not None:
                self._opened.move_to_end(name)
                return found
        opened = self._open(record, record.header)
        with self._lock:
            if name not in self._opened:
                self._opened[name] = opened
                self._size_bytes += opened.size_bytes
                while self._size_bytes > self._bytes_max and len(self._opened) > 1:
                    self._size_bytes -= self._opened.popitem(last=False)[1].size_bytes
        return opened

    def _open(self, record: RoundRecord, header: bytes) -> OpenedReport:
        epoch = self._epochs.by_record(record.epoch)
        if epoch is None:
            raise ReportNotHeldError(f"the record of epoch {record.epoch} is not here")
        try:
            report = expect(header, epoch.network_id, Report)
            data = self._store.blobs.get(report.body.body)
            if data is None:
                raise ReportNotHeldError(
                    f"the body of the report of round {record.round} shard {record.shard} is not here"
                )
            body = decode(data, ReportBody, size_bytes_max=BODY_BYTES_MAX)
        except (StatementError, CodecError) as error:
            raise ReportNotHeldError(f"the report of round {record.round} is damaged: {error}") from None
        secret = mask_secret(epoch, report.body.at, report.body.preimage)
        items = batch_items(secret, [item.data for item in body.scored], body.served)
        tree = MerkleTree(consensus_leaves(items, body.scores.consensus))
        if tree.root != report.body.consensus_root:
            raise ReportNotHeldError(f"the report of round {record.round} is not what its header binds")
        return OpenedReport(report, items, {item_id(item): n for n, item in enumerate(items)}, tree)
