"""What others have revealed in a certified round, fetched as anyone may: what a copycat copies."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import structlog
from numpy.typing import NDArray

from node.network.errors import FetchError, RequestError
from node.network.exchange import Exchange
from node.network.host import Host
from node.roles.reports import certified_report
from protocol.certificates import CertificateError
from protocol.codec import CodecError, decode
from protocol.epochs.view import Epoch
from protocol.messages import Challenge, Reveal
from protocol.report import BODY_BYTES_MAX, DIMENSIONS, VECTOR_BYTES, ReportBody
from protocol.schedule import ShardRound, shard_of
from protocol.statement import StatementError, expect

FULLS_WAVE = 3

log = structlog.get_logger(__name__)

Offer = Callable[[NDArray[np.float32]], None]


async def offer_best_reveal(
    epoch: Epoch, host: Host, exchange: Exchange, at: ShardRound, offer: Offer
) -> None:
    """Hand the last wave of a certified round's best-scored other encoder to `offer`, if it can be had."""
    for peer in host.peers():
        if peer.public_key not in epoch.validators:
            continue
        try:
            rows = await _from_validator(epoch, host, exchange, at, peer.public_key)
        except (RequestError, FetchError, CodecError, StatementError, CertificateError) as error:
            log.debug("reveal.unavailable", peer=peer.public_key.hex()[:8], reason=str(error))
            continue
        if rows is not None:
            offer(rows)
            return


async def _from_validator(
    epoch: Epoch, host: Host, exchange: Exchange, at: ShardRound, key: bytes
) -> NDArray[np.float32] | None:
    found = await certified_report(epoch, host, exchange, at, key, body_bytes_max=BODY_BYTES_MAX)
    if found is None:
        return None
    # What a quorum has certified has the shapes that are read below.
    body = decode(found.body, ReportBody, size_bytes_max=BODY_BYTES_MAX)
    reveal = _best_reveal(epoch, at, body, host.public_key)
    if reveal is None:
        return None
    views = expect(body.challenge, epoch.network_id, Challenge).body.waves[FULLS_WAVE - 1].views
    name = reveal.answers[FULLS_WAVE - 1]
    answers = await exchange.fetch(name, views * VECTOR_BYTES, (key,))
    return np.frombuffer(answers, dtype="<f4").reshape(views, DIMENSIONS)


def _best_reveal(epoch: Epoch, at: ShardRound, body: ReportBody, me: bytes) -> Reveal | None:
    shard = shard_of(epoch, at)
    scores = dict(zip(shard, struct.unpack(f"<{len(shard)}d", body.scores.score), strict=True))
    reveals = [expect(data, epoch.network_id, Reveal) for data in body.reveals]
    others = [reveal for reveal in reveals if reveal.signer != me]
    best = max(others, key=lambda reveal: scores.get(reveal.signer, 0.0), default=None)
    return None if best is None else best.body
