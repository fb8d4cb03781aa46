"""A certified report as one file, sent an answer at a time: a whole one may take hundreds of megabytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from node.bundle import (
    BUNDLE_BYTES_MAX,
    MAGIC,
    VERSION,
    Bundle,
    BundleError,
    answers_not_held,
    named_answers,
)
from node.epochs.history import chain_to
from node.store import Store
from protocol.codec import encode
from protocol.genesis import Genesis
from protocol.messages import Certificate, Report
from protocol.statement import Statement


@dataclass(frozen=True, slots=True)
class OpenedBundle:
    """What `encode` makes of a bundle, in parts."""

    size_bytes: int
    parts: Iterator[bytes]
    """Raises BundleError when an answer is dropped meanwhile."""


def open_bundle(
    store: Store, genesis: Genesis, header: Statement[Report], body: bytes, certificate: Certificate
) -> OpenedBundle:
    """The bundle of a certified report. Raises BundleError, StoreError when a part of it is not held."""
    named = named_answers(body, genesis.network_id)
    missing = [name for name in named if not store.blobs.has(name)]
    if missing:
        raise answers_not_held(missing[0], certificate)
    epochs, encoders, means = chain_to(store, header.body.at.epoch)
    empty = Bundle(
        MAGIC,
        VERSION,
        genesis.data,
        tuple(epochs),
        encoders,
        means,
        header.data,
        body,
        encode(certificate),
        (),
    )
    # Answers are the last field: its empty array is the last byte.
    start = encode(empty)[:-1] + _array_head(len(named))
    size_bytes = len(start) + sum(len(_bytes_head(size)) + size for size in named.values())
    if size_bytes > BUNDLE_BYTES_MAX:
        raise BundleError(
            f"this report takes {size_bytes >> 20} MiB and a bundle at most {BUNDLE_BYTES_MAX >> 20}: verify "
            "it on a node, against its peers"
        )
    return OpenedBundle(size_bytes, _parts(store, start, named))


def _parts(store: Store, start: bytes, named: dict[bytes, int]) -> Iterator[bytes]:
    yield start
    for name, size_bytes in named.items():
        data = store.blobs.get(name)
        if data is None or len(data) != size_bytes:
            raise BundleError(f"the answers {name.hex()[:16]} were dropped while they were sent: ask again")
        yield _bytes_head(size_bytes) + data


def _array_head(count: int) -> bytes:
    """The head of a msgpack array in its shortest form."""
    if count < 16:
        return bytes([0x90 | count])
    return b"\xdc" + count.to_bytes(2, "big") if count < 1 << 16 else b"\xdd" + count.to_bytes(4, "big")


def _bytes_head(size_bytes: int) -> bytes:
    """The head of msgpack bytes in its shortest form."""
    if size_bytes < 1 << 8:
        return b"\xc4" + size_bytes.to_bytes(1, "big")
    if size_bytes < 1 << 16:
        return b"\xc5" + size_bytes.to_bytes(2, "big")
    return b"\xc6" + size_bytes.to_bytes(4, "big")
