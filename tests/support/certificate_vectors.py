"""What verifies one certified embedding offline, as a vector: all of it follows from seeds and arithmetic."""

from __future__ import annotations

import struct

from protocol.certificates import make_certificate
from protocol.codec import encode
from protocol.hashing import digest
from protocol.items import canonical_text
from protocol.merkle import MerkleTree
from protocol.messages import Attestation, Report
from protocol.report import DIMENSIONS, VECTOR_BYTES, consensus_leaves
from protocol.schedule import dealer_of, shard_round
from protocol.statement import Statement
from tests.support.eventful import eventful
from tests.support.records import GENESIS, ROUNDS, VALIDATORS, certificate, say

EPOCH = 4
"""The first whose record has convicted a validator of genesis: its stake counts for nothing any more."""
TEXTS = ("Nobody has to be trusted.", "A certificate binds all that led to it.", "café au lait")
PLACE = 1


def document() -> dict[str, object]:
    """Hex, but for numbers; `chain` holds (record, the canonical certificate of its epoch)."""
    epochs = eventful().epochs
    chain = []
    for number in range(1, EPOCH + 1):
        of = epochs.of(number)
        voters = [key for key in VALIDATORS if key in epochs.of(number - 1).validators]
        chain.append([encode(of.record).hex(), encode(certificate(of, *voters)).hex()])
    epoch = epochs.of(EPOCH)
    at = shard_round(GENESIS, EPOCH * ROUNDS + 1, 0)
    items = [canonical_text(text) for text in TEXTS]
    consensus = b"".join(_vector(place) for place in range(len(items)))
    tree = MerkleTree(consensus_leaves(items, consensus))
    names = {name: digest("vector", name.encode()) for name in ("challenge", "lock", "body", "preimage")}
    header = say(
        dealer_of(epoch, at),
        Report(
            at, names["challenge"], names["lock"], names["body"], 1, len(items), tree.root, names["preimage"]
        ),
    )
    votes: list[Statement[Attestation]] = [
        say(key, Attestation(at, header.digest))  # type: ignore[misc]
        for key in epoch.validators
    ]
    return {
        "network_id": GENESIS.network_id.hex(),
        "genesis": GENESIS.data.hex(),
        "chain": chain,
        "header": header.data.hex(),
        "certificate": encode(make_certificate(at, header.digest, votes)).hex(),
        "item": items[PLACE].hex(),
        "vector": consensus[PLACE * VECTOR_BYTES : (PLACE + 1) * VECTOR_BYTES].hex(),
        "index": PLACE,
        "proof": [sibling.hex() for sibling in tree.proof(PLACE)],
        "at": [at.epoch, at.round, at.shard],
    }


def _vector(place: int) -> bytes:
    """Eighths, which every machine holds exactly."""
    return struct.pack(f"<{DIMENSIONS}f", *((n * (place + 3) % 17 - 8) / 8 for n in range(DIMENSIONS)))
