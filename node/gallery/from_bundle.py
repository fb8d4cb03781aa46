"""Filling a gallery from a report bundle, which is verified first."""

from __future__ import annotations

import math
import struct
from pathlib import Path

from blake3 import blake3

from node.bundle import Bundle, read_bundle
from node.certified import OnStep
from node.gallery.entries import Added, Entry, Origin
from node.gallery.errors import translated
from node.gallery.preview import preview_of_item
from node.gallery.spaces_table import Gallery
from node.verify import Verification, verify_bundle
from protocol.codec import decode
from protocol.epochs.record import NOTHING, RECORD_BYTES_MAX, EpochRecord
from protocol.genesis import Genesis
from protocol.items import item_id
from protocol.report import VECTOR_BYTES


def add_bundle(
    gallery: Gallery,
    collection: str,
    path: Path,
    network_id: bytes | None,
    genesis: Genesis | None = None,
    on_step: OnStep | None = None,
) -> Added:
    """Verify a `.dmr` file as `deltamesh verify` does, and add its embeddings to a collection.

    A file that was added before is not verified again. Raises BundleError, VerificationFailed where the
    report is refused, GalleryError, GalleryStorageError.
    """
    name = f"bundle:{file_digest(path)}"
    taken = gallery.taken(collection, name)
    if taken.whole:
        return Added(known=taken.rows)
    bundle = read_bundle(path)
    found = verify_bundle(bundle, network_id, genesis, on_step)
    trusted = Genesis.from_bytes(bundle.genesis)
    gallery.bind(trusted.network_id, trusted.parameters.modality)
    gallery.learn_epochs(_centred(bundle))
    entries = _entries(found, trusted.parameters.modality)
    added = gallery.add(collection, entries)
    if not added.left_out:
        gallery.take_whole(collection, name, len(entries))
    return added


def file_digest(path: Path) -> str:
    """blake3 of a file's content, in hexadecimal. Raises GalleryStorageError."""
    hasher = blake3()
    with translated(path), path.open("rb") as file:
        while part := file.read(1 << 20):
            hasher.update(part)
    return hasher.hexdigest()


def _centred(bundle: Bundle) -> dict[int, bool]:
    """Of every epoch in the verified chain whether its record had means."""
    records = [decode(one.record, EpochRecord, size_bytes_max=RECORD_BYTES_MAX) for one in bundle.epochs]
    return {record.epoch: record.means != NOTHING for record in records}


def _entries(found: Verification, modality: str) -> list[Entry]:
    entries = []
    for place, item in enumerate(found.items):
        vector = found.consensus[place * VECTOR_BYTES : (place + 1) * VECTOR_BYTES]
        # An item nobody answered validly has no embedding.
        if math.isnan(struct.unpack_from("<f", vector)[0]):
            continue
        entries.append(
            Entry(
                item_id=item_id(item),
                origin=Origin.BUNDLE,
                source=found.dealer.hex(),
                round=found.at.round,
                shard=found.at.shard,
                epoch=found.at.epoch,
                space=None,
                preview=preview_of_item(modality, item),
                vector=vector,
            )
        )
    return entries
