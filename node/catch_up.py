"""Catching up: certified rounds are pulled from any peer, and believed only when they check out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import groupby
from typing import Annotated

import msgspec
import structlog
import trio

from node.clock import now_ms
from node.epochs.admission import is_member_of_late, is_validator_of_late
from node.network.exchange import Exchange
from node.network.host import Host
from node.paging import pull_pages
from node.store import RoundRecord, RoundState, Store
from protocol.audit import AuditError, audit_report
from protocol.certificates import CertificateError, check_certificate
from protocol.codec import Natural, Record, decode, encode
from protocol.epochs.known import Epochs, UnknownEpochError
from protocol.messages import Certificate, Report
from protocol.rounds.effects import Purpose, RoundCertified
from protocol.schedule import round_at
from protocol.statement import Statement, StatementError, expect

METHOD = "certified"
ROUNDS_ASKED = 32
TOLD_MAX = 128
"""Shard-rounds of one answer."""
ANSWER_BYTES_MAX = 8 << 20
IDLE_S = 5.0
ROUND_WITHIN_S = 30.0
"""A peer that takes longer to serve one round is left for the next peer."""
SETTLED_ROUNDS = 8
"""A peer may itself have got a round this much later than those after it."""

log = structlog.get_logger(__name__)


class Ask(Record, frozen=True):
    """Which certified rounds are wanted."""

    from_round: Natural


class CertifiedRound(Record, frozen=True):
    """A report's header and its certificate; the body is fetched by digest."""

    header: bytes
    certificate: Certificate


class Answer(Record, frozen=True):
    """Certified rounds from the one asked for, oldest first; whole rounds, as far as they fit."""

    rounds: Annotated[tuple[CertifiedRound, ...], msgspec.Meta(max_length=TOLD_MAX)]


class CatchUp:
    """Pulls what this node has missed and serves what others have.

    Every validator's rounds are gone through, since each may lack some: one that withholds a round, or is
    slow, costs time. The table of how far is bounded by the validators.
    """

    def __init__(
        self,
        epochs: Epochs,
        host: Host,
        exchange: Exchange,
        store: Store,
        keep: Callable[[bytes, int, Purpose], Awaitable[None]],
        persist: Callable[[RoundCertified], Awaitable[None]],
        retention_epochs: int,
    ) -> None:
        """Rounds of epochs that lie further behind the newest are not caught up with."""
        self._epochs = epochs
        self._genesis = epochs.genesis
        self._host = host
        self._exchange = exchange
        self._store = store
        self._keep = keep
        self._persist = persist
        self._retention_epochs = retention_epochs
        self._next_round: dict[bytes, int] = {}
        host.handle(METHOD, self._answer, request_bytes_max=64, response_bytes_max=ANSWER_BYTES_MAX)

    async def run(self) -> None:
        """Keep up with the network: go through every connected validator's rounds, again and again."""
        while True:
            for peer in self._host.peers():
                if is_validator_of_late(self._epochs, peer.public_key) and self._is_served:
                    await pull_pages(self._host, peer.public_key, self._page, "rounds")
            await trio.sleep(IDLE_S)

    @property
    def _is_served(self) -> bool:
        """Whether others give blobs to this node; whoever is no member yet has to wait for that."""
        return is_member_of_late(self._epochs, self._host.public_key)

    async def _page(self, key: bytes) -> bool:
        """Take one page of a peer's rounds; whether there may be more of them."""
        first_epoch = self._epochs.newest.number - self._retention_epochs
        horizon = first_epoch * self._genesis.parameters.epoch_rounds
        from_round = max(0, horizon, self._next_round.get(key, 0))
        data = await self._host.request(
            key, METHOD, encode(Ask(from_round)), timeout_s=15.0, response_bytes_max=ANSWER_BYTES_MAX
        )
        told = decode(data, Answer, size_bytes_max=ANSWER_BYTES_MAX).rounds
        latest = from_round
        for certified in told:
            header = expect(certified.header, self._genesis.network_id, Report)
            if header.body.at.round < latest:
                raise StatementError("rounds out of order, or not asked for")
            latest = header.body.at.round
            with trio.fail_after(ROUND_WITHIN_S):
                await self._take(key, header, certified.certificate)
        settled = max(0, round_at(self._genesis, now_ms()) - SETTLED_ROUNDS)
        self._next_round[key] = min(latest + bool(told), settled)
        return self._next_round[key] > from_round

    async def _take(self, key: bytes, header: Statement[Report], certificate: Certificate) -> None:
        at = header.body.at
        if await trio.to_thread.run_sync(self._is_certified_here, at.round, at.shard):
            return
        if certificate.report != header.digest:
            raise CertificateError("the certificate is for another report")
        epoch = self._epochs.find(at.epoch)
        if epoch is None and at.epoch <= self._epochs.newest.number:
            return  # its encoders are kept nowhere any more: nobody can say who was in the shard
        if epoch is None:
            raise UnknownEpochError(f"the record of epoch {at.epoch} comes first")
        check_certificate(epoch, certificate)
        body = await self._exchange.fetch(header.body.body, header.body.body_bytes, (key,))
        try:
            audited = await trio.to_thread.run_sync(audit_report, epoch, header, body)
        except AuditError as error:
            # A quorum certified it, so the peer is not to blame; neither is it anything to keep.
            log.error("round.certified_but_false", round=at.round, shard=at.shard, reason=str(error))
            return
        await self._keep(body, at.round, Purpose.REPORT)
        await self._persist(RoundCertified(at, header, certificate, audited.body, audited.batch.items))
        log.info("round.caught_up", round=at.round, shard=at.shard, source=key.hex()[:8])

    def _is_certified_here(self, round_: int, shard: int) -> bool:
        record = self._store.round(round_, shard)
        return record is not None and record.state is RoundState.CERTIFIED

    async def _answer(self, peer: bytes, payload: bytes) -> bytes:
        ask = decode(payload, Ask, size_bytes_max=64)
        return await trio.to_thread.run_sync(self._told_from, ask.from_round)

    def _told_from(self, round_: int) -> bytes:
        page: list[CertifiedRound] = []
        size_bytes = 64
        records = self._store.certified_since(round_, ROUNDS_ASKED)
        for _, shards in groupby(records, key=lambda record: record.round):
            told = [one for record in shards if (one := _told(record)) is not None]
            size_bytes += sum(len(encode(one)) for one in told)
            # Whole rounds: whoever asked goes on behind the last of them.
            if len(page) + len(told) > TOLD_MAX or size_bytes > ANSWER_BYTES_MAX:
                break
            page += told
        return encode(Answer(tuple(page)))


def _told(record: RoundRecord) -> CertifiedRound | None:
    if record.header is None or record.certificate is None:
        return None
    certificate = decode(record.certificate, Certificate, size_bytes_max=ANSWER_BYTES_MAX)
    return CertifiedRound(record.header, certificate)
