"""What a certified shard-round says about its encoders, in integers: all an epoch's record takes from it."""

from __future__ import annotations

import math
import struct

from protocol.codec import Digest, Natural, PublicKey, Record
from protocol.epochs.view import PPM, Epoch
from protocol.messages import Report
from protocol.report import ReportBody
from protocol.schedule import ShardRound, shard_of
from protocol.statement import Statement, parse


class RoundOutcome(Record, frozen=True):
    """Rows are the shard's encoders in key order."""

    at: ShardRound
    dealer: PublicKey
    preimage: Digest
    encoders: tuple[PublicKey, ...]
    revealed: tuple[bool, ...]
    score_ppm: tuple[Natural, ...]
    weight_ppm: tuple[Natural, ...]


def outcome_of(epoch: Epoch, header: Statement[Report], body: ReportBody) -> RoundOutcome:
    """The outcome of an audited, certified report: from its bytes alone, so the same on every machine."""
    at = header.body.at
    encoders = shard_of(epoch, at)
    revealed = {parse(data, epoch.network_id).signer for data in body.reveals}
    return RoundOutcome(
        at=at,
        dealer=header.signer,
        preimage=header.body.preimage,
        encoders=encoders,
        revealed=tuple(key in revealed for key in encoders),
        score_ppm=_ppm(body.scores.score),
        weight_ppm=_ppm(body.scores.weight),
    )


def _ppm(values: bytes) -> tuple[int, ...]:
    """Little-endian float64 shares as parts per million, 0 to 1, rounded down; what is no number is 0."""
    floats = struct.unpack(f"<{len(values) // 8}d", values)
    return tuple(0 if math.isnan(value) else int(PPM * min(max(value, 0.0), 1.0)) for value in floats)
