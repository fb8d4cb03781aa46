"""A certified report with its body, from a validator that has it: its certificate is what is believed."""

from __future__ import annotations

from dataclasses import dataclass

from node.catch_up import ANSWER_BYTES_MAX, METHOD, Answer, Ask, CertifiedRound
from node.network.exchange import Exchange
from node.network.host import Host
from protocol.certificates import CertificateError, check_certificate
from protocol.codec import decode, encode
from protocol.epochs.view import Epoch
from protocol.messages import Report
from protocol.schedule import ShardRound
from protocol.statement import Statement, expect


@dataclass(frozen=True, slots=True)
class CertifiedReport:
    """What a quorum has signed; the body has the header's digest, and is not audited here."""

    header: Statement[Report]
    body: bytes


async def certified_report(
    epoch: Epoch, host: Host, exchange: Exchange, at: ShardRound, key: bytes, *, body_bytes_max: int
) -> CertifiedReport | None:
    """The report of a shard-round from the validator `key`; None where it has none, or a larger one.

    Raises RequestError, FetchError, CodecError, StatementError, CertificateError.
    """
    for told in await told_rounds(host, at.round, key):
        header = expect(told.header, epoch.network_id, Report)
        if header.body.at != at or header.body.body_bytes > body_bytes_max:
            continue
        if told.certificate.report != header.digest:
            raise CertificateError("the certificate is for another report")
        check_certificate(epoch, told.certificate)
        body = await exchange.fetch(header.body.body, header.body.body_bytes, (key,))
        return CertifiedReport(header, body)
    return None


async def told_rounds(host: Host, from_round: int, key: bytes) -> tuple[CertifiedRound, ...]:
    """What the validator `key` tells of certified rounds from a round on: nothing of it is believed yet.

    Raises RequestError, CodecError.
    """
    data = await host.request(
        key, METHOD, encode(Ask(from_round)), timeout_s=10.0, response_bytes_max=ANSWER_BYTES_MAX
    )
    return decode(data, Answer, size_bytes_max=ANSWER_BYTES_MAX).rounds
