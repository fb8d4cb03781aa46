"""Catching up: certified rounds are pulled from any peer, and believed only when they check out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
import structlog
import trio

from node.network.errors import FetchError, RequestError
from node.network.exchange import Exchange
from node.network.host import Host
from node.store import RoundState, Store, StoreError
from protocol.audit import AuditError, audit_report
from protocol.certificates import CertificateError, check_certificate
from protocol.codec import CodecError, Natural, Record, decode, encode
from protocol.genesis import Genesis
from protocol.messages import Certificate, Report
from protocol.rounds.effects import Purpose, RoundCertified
from protocol.schedule import PoolSchedule
from protocol.statement import StatementError, expect

METHOD = "certified"
ROUNDS_ASKED = 32
ANSWER_BYTES_MAX = 8 << 20
IDLE_S = 5.0
COST_FALSE = 50.0

log = structlog.get_logger(__name__)


class Ask(Record, frozen=True):
    """Which certified rounds are wanted."""

    from_round: Natural


class CertifiedRound(Record, frozen=True):
    """A report's header and its certificate; the body is fetched by digest."""

    header: bytes
    certificate: Certificate


class Answer(Record, frozen=True):
    """Certified rounds from the one asked for, oldest first."""

    rounds: Annotated[tuple[CertifiedRound, ...], msgspec.Meta(max_length=4 * ROUNDS_ASKED)]


class CatchUp:
    """Pulls what this node has missed and serves what others have."""

    def __init__(
        self,
        genesis: Genesis,
        host: Host,
        exchange: Exchange,
        store: Store,
        schedule: PoolSchedule,
        keep: Callable[[bytes, int, Purpose], Awaitable[None]],
        persist: Callable[[RoundCertified], Awaitable[None]],
    ) -> None:
        self._genesis = genesis
        self._host = host
        self._exchange = exchange
        self._store = store
        self._schedule = schedule
        self._keep = keep
        self._persist = persist
        self._next_round = 0
        host.handle(METHOD, self._answer, request_bytes_max=64, response_bytes_max=ANSWER_BYTES_MAX)

    async def run(self) -> None:
        """Keep up with the network; idle while there is nothing new."""
        while True:
            progress = False
            for peer in self._host.peers():
                if peer.public_key in self._genesis.validators:
                    try:
                        progress = await self._from_peer(peer.public_key) or progress
                    except StoreError as error:
                        log.warning("catch_up.paused", reason=str(error))
            if not progress:
                await trio.sleep(IDLE_S)

    async def _from_peer(self, key: bytes) -> bool:
        """Pull one page from a peer; whether anything new came of it."""
        try:
            data = await self._host.request(
                key,
                METHOD,
                encode(Ask(self._next_round)),
                timeout_s=15.0,
                response_bytes_max=ANSWER_BYTES_MAX,
            )
            answer = decode(data, Answer, size_bytes_max=ANSWER_BYTES_MAX)
        except RequestError:
            return False
        except CodecError as error:
            self._host.penalise(key, COST_FALSE, f"answers nonsense about rounds: {error}")
            return False
        progress = False
        for told in answer.rounds:
            try:
                progress = await self._take(key, told) or progress
            except FetchError:
                return progress
            except (StatementError, CertificateError, AuditError) as error:
                self._host.penalise(key, COST_FALSE, f"serves a round that does not check out: {error}")
                return progress
        return progress

    async def _take(self, key: bytes, told: CertifiedRound) -> bool:
        header = expect(told.header, self._genesis.network_id, Report)
        at = header.body.at
        record = self._store.round(at.round, at.shard)
        if record is not None and record.state is RoundState.CERTIFIED:
            self._next_round = max(self._next_round, at.round + 1)
            return False
        if told.certificate.report != header.digest:
            raise CertificateError("the certificate is for another report")
        check_certificate(self._genesis, told.certificate)
        body = await self._exchange.fetch(header.body.body, header.body.body_bytes, (key,))
        audited = audit_report(self._genesis, header, body, self._schedule)
        await self._keep(body, at.round, Purpose.REPORT)
        await self._persist(RoundCertified(at, header, told.certificate, audited.body, audited.batch.items))
        log.info("round.caught_up", round=at.round, shard=at.shard, source=key.hex()[:8])
        return True

    async def _answer(self, peer: bytes, payload: bytes) -> bytes:
        ask = decode(payload, Ask, size_bytes_max=64)
        found = []
        for record in self._store.certified_since(ask.from_round, ROUNDS_ASKED):
            if record.header is not None and record.certificate is not None:
                certificate = decode(record.certificate, Certificate, size_bytes_max=ANSWER_BYTES_MAX)
                found.append(CertifiedRound(record.header, certificate))
        answer = encode(Answer(tuple(found)))
        while len(answer) > ANSWER_BYTES_MAX:
            found.pop()
            answer = encode(Answer(tuple(found)))
        return answer
