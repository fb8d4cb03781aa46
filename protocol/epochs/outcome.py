"""What a certified shard-round says about its encoders, in integers: all an epoch's record takes from it."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping

from protocol.bending import MILLI, ProbeSigns
from protocol.codec import Digest, Natural, PublicKey, Record
from protocol.epochs.view import PPM, Epoch
from protocol.messages import Report
from protocol.report import ReportBody
from protocol.schedule import ShardRound, shard_of
from protocol.statement import Statement, parse

PROBES_MAX = 65_536
"""More than any batch has views."""


class RoundOutcome(Record, frozen=True):
    """Rows are the shard's encoders in key order."""

    at: ShardRound
    dealer: PublicKey
    preimage: Digest
    encoders: tuple[PublicKey, ...]
    revealed: tuple[bool, ...]
    score_ppm: tuple[Natural, ...]
    weight_ppm: tuple[Natural, ...]
    probes: tuple[ProbeSigns, ...]


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
        probes=_probes({term.name: _floats(term.values) for term in body.scores.terms}, len(encoders)),
    )


def _probes(terms: Mapping[str, tuple[float, ...]], encoders: int) -> tuple[ProbeSigns, ...]:
    """The terms of the probes in thousandths; a rule that has none saw none."""
    none = (0.0,) * encoders
    asked, bent, leaning = (terms.get(name, none) for name in ("probes", "bent", "leaning"))
    found = []
    for of_encoder in zip(asked, bent, leaning, strict=True):
        probes, *signs = (_milli(one) for one in of_encoder)
        whole = probes // MILLI
        found.append(ProbeSigns(whole, *(min(sign, whole * MILLI) for sign in signs)))
    return tuple(found)


def _milli(value: float) -> int:
    return 0 if math.isnan(value) else int(MILLI * min(max(value, 0.0), PROBES_MAX))


def _floats(values: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(values) // 8}d", values)


def _ppm(values: bytes) -> tuple[int, ...]:
    """Little-endian float64 shares as parts per million, 0 to 1, rounded down; what is no number is 0."""
    floats = _floats(values)
    return tuple(0 if math.isnan(value) else int(PPM * min(max(value, 0.0), 1.0)) for value in floats)
