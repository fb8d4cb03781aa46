"""Every bound of the store, in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """What the store holds at most. The database's size alone bounds rounds, scores and embeddings."""

    database_bytes_max: int = 16 << 30
    """The database file; beyond it writes raise `StoreFull`. A round of 256 items takes about 1.3 MB."""
    blobs_bytes_max: int = 16 << 30
    """All blobs on disk; beyond it `put` raises `BlobStoreFull`. A round of 8 encoders takes 40 MiB."""
    envelope_bytes_max: int = 1 << 20
    """One signed statement, header, certificate, piece of evidence or dispute."""
    statements_per_round_max: int = 16_384
    evidence_per_offender_max: int = 16
    evidence_max: int = 65_536
    disputes_per_round_max: int = 1_024
    item_bytes_max: int = 1 << 20
    pending_items_max: int = 65_536
    pending_bytes_max: int = 256 << 20
    pending_items_per_client_max: int = 16_384
    """Of a client of the API, or a validator that hands over. What `submit` queues is the operator's."""
    pending_bytes_per_client_max: int = 64 << 20
    peers_max: int = 8_192
    addresses_per_peer_max: int = 16
    address_length_max: int = 256
