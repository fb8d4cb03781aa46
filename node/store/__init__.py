"""What a node remembers: statements, rounds, scores, items, embeddings, evidence, peers, blobs."""

from __future__ import annotations

from node.store.blobs import DiskBlobs
from node.store.database import Access, Put
from node.store.embeddings import VECTOR_BYTES, CertifiedEmbedding, EmbeddingRecord
from node.store.epochs import EpochRow
from node.store.errors import (
    BlobStoreFull,
    QueueFull,
    StoreBusy,
    StoreCorrupted,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreTooNew,
)
from node.store.findings import DisputeRecord, EvidenceRecord
from node.store.items import ItemRecord, ItemState
from node.store.limits import StoreLimits
from node.store.lookups import RoundHead
from node.store.peers import PeerRecord
from node.store.rounds import RoundRecord, RoundState
from node.store.scores import ScoreAverage, ScoreRecord
from node.store.statements import StatementRecord
from node.store.steps import StepRecord
from node.store.store import Pruned, Store

__all__ = [
    "VECTOR_BYTES",
    "Access",
    "BlobStoreFull",
    "CertifiedEmbedding",
    "DiskBlobs",
    "DisputeRecord",
    "EmbeddingRecord",
    "EpochRow",
    "EvidenceRecord",
    "ItemRecord",
    "ItemState",
    "PeerRecord",
    "Pruned",
    "Put",
    "QueueFull",
    "RoundHead",
    "RoundRecord",
    "RoundState",
    "ScoreAverage",
    "ScoreRecord",
    "StatementRecord",
    "StepRecord",
    "Store",
    "StoreBusy",
    "StoreCorrupted",
    "StoreError",
    "StoreFull",
    "StoreLimits",
    "StoreReadOnly",
    "StoreTooNew",
]
