"""A store whose bounds a test can reach, and small records for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node.store import (
    Put,
    RoundRecord,
    RoundState,
    Store,
    StoreLimits,
)

LIMITS = StoreLimits(
    envelope_bytes_max=100,
    statements_per_round_max=3,
    evidence_per_offender_max=2,
    evidence_max=3,
    disputes_per_round_max=2,
    item_bytes_max=50,
    pending_items_max=3,
    pending_bytes_max=100,
    peers_max=3,
    addresses_per_peer_max=2,
    address_length_max=20,
)


@contextmanager
def bounded_store(folder: Path) -> Iterator[Store]:
    with Store.open(folder / "store.sqlite", folder / "blobs", limits=LIMITS) as opened:
        yield opened


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def record(round_: int, shard: int = 0, state: RoundState = RoundState.OPEN, at_ms: int = 0) -> RoundRecord:
    certificate = b"certificate" if state is RoundState.CERTIFIED else None
    return RoundRecord(0, round_, shard, state, at_ms, certificate=certificate)


def submit(store: Store, number: int, size_bytes: int = 10) -> Put:
    return store.submit_item(
        key(number), bytes(size_bytes), modality="text", source="test", submitted_ms=number
    )
