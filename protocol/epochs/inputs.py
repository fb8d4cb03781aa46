"""What the record of an epoch is made from: certified rounds, registrations, exits, transfers, evidence."""

from __future__ import annotations

from typing import Annotated

import msgspec

from protocol.codec import Digest, Natural, Record
from protocol.epochs.record import EVIDENCE_MAX, TRANSFERS_MAX
from protocol.schedule import ShardRound

INPUTS_BYTES_MAX = 8 << 20
REGISTRATIONS_MAX = 512
"""Registrations, and exits, one record takes up; what is left over waits for the next."""
REGISTRATIONS_BYTES_MAX = 1 << 20
EVIDENCE_BYTES_MAX = 2 << 20
"""What is gathered for one record, so that all inputs fit; what is left over waits for the next."""
ROUNDS_MAX = 65_536

Envelope = Annotated[bytes, msgspec.Meta(max_length=1 << 19)]


class CertifiedRef(Record, frozen=True):
    """A certified shard-round."""

    at: ShardRound
    report: Digest


class EpochInputs(Record, frozen=True):
    """All that enters a record beside the one before. All in order: one set is one encoding."""

    epoch: Natural
    """Whose record this is for."""
    rounds: Annotated[tuple[CertifiedRef, ...], msgspec.Meta(max_length=ROUNDS_MAX)]
    """Certified shard-rounds of the epoch before the one before, in order."""
    registrations: Annotated[tuple[Envelope, ...], msgspec.Meta(max_length=REGISTRATIONS_MAX)]
    """In the order of their signers' keys."""
    exits: Annotated[tuple[Envelope, ...], msgspec.Meta(max_length=REGISTRATIONS_MAX)]
    """In the order of their signers' keys."""
    transfers: Annotated[tuple[Envelope, ...], msgspec.Meta(max_length=TRANSFERS_MAX)]
    """Stake transfers, in the order of their givers' keys."""
    evidence: Annotated[tuple[Envelope, ...], msgspec.Meta(max_length=EVIDENCE_MAX)]
    """Evidence statements, one an offender, in the order of the offenders' keys."""
