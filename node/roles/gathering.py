"""An encoder gathers pairs: items and consensus vectors of certified rounds, for its model to learn from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
import trio

from node.epochs.admission import is_member_of_late
from node.network.errors import NetworkError
from node.network.exchange import Exchange
from node.network.host import Host
from node.pairs import Pair, Pairs
from node.roles.reports import CertifiedReport, certified_report, told_rounds
from node.store.errors import StoreError
from protocol.audit import AuditedReport, AuditError, audit_report
from protocol.certificates import CertificateError
from protocol.codec import CodecError
from protocol.epochs.known import Epochs
from protocol.epochs.record import NOTHING
from protocol.epochs.view import Epoch
from protocol.hashing import digest
from protocol.messages import Report
from protocol.report import VECTOR_BYTES
from protocol.schedule import ShardRound
from protocol.statement import StatementError, expect

PAIRS_PER_EPOCH: Final = 1_024
"""About so many are fetched an epoch: of a long one a few rounds, which ones is drawn for each encoder."""
BODY_BYTES_MAX: Final = 16 << 20
"""A larger report is passed over: while it is fetched it takes the memory that answers are served from."""
WAITING_MAX: Final = 64
TRIES: Final = 3
TRY_AGAIN_S: Final = 2.0
"""Those who attest hear of a certificate when the encoder does."""

OnAudited = Callable[[AuditedReport], None]

_FAULTS: Final = (NetworkError, CodecError, StatementError, CertificateError)

log = structlog.get_logger(__name__)


class Gathering:
    """Fetches one certified round after the other and keeps its pairs."""

    def __init__(
        self,
        pairs: Pairs,
        epochs: Epochs,
        host: Host,
        exchange: Exchange,
        on_audited: OnAudited = lambda _: None,
    ) -> None:
        """`on_audited` is told of every certified report that holds, from another thread."""
        self._pairs = pairs
        self._epochs = epochs
        self._host = host
        self._exchange = exchange
        self._on_audited = on_audited
        self._send, self._waiting = trio.open_memory_channel[ShardRound](WAITING_MAX)

    def hear(self, at: ShardRound) -> None:
        """A round is certified: gather its pairs, if it is one of those drawn for this encoder."""
        epoch = self._epochs.find(at.epoch)
        if epoch is None or not is_drawn(epoch, at, self._host.public_key):
            return
        try:
            self._send.send_nowait(at)
        except trio.WouldBlock:
            self._host.counters.add("pairs.missed")

    async def run(self) -> None:
        """Gather what is heard of, after what was certified before this node came."""
        await self._catch_up()
        async for at in self._waiting:
            try:
                await self._gather(at)
            except StoreError as error:
                log.warning("pairs.unkept", round=at.round, shard=at.shard, reason=str(error))

    async def _catch_up(self) -> None:
        """Hear of this and the last epoch's rounds: of older ones nobody tells who was in their shards."""
        newest = self._epochs.newest.number
        first = max(0, newest - 1) * self._epochs.genesis.parameters.epoch_rounds
        here = await trio.to_thread.run_sync(self._pairs.rounds)
        for _ in range(TRIES):
            await trio.sleep(TRY_AGAIN_S)
            for key in self._validators(self._epochs.newest, 0):
                try:
                    for told in await told_rounds(self._host, first, key):
                        at = expect(told.header, self._epochs.genesis.network_id, Report).body.at
                        if at.round not in here:
                            self.hear(at)
                except _FAULTS as error:
                    log.debug("pairs.unavailable", peer=key.hex()[:8], reason=str(error))
                else:
                    return

    async def _gather(self, at: ShardRound) -> None:
        epoch = self._epochs.find(at.epoch)
        if not is_member_of_late(self._epochs, self._host.public_key):
            # A newcomer: bodies of reports are handed to members only.
            return
        if epoch is None or at.round in await trio.to_thread.run_sync(self._pairs.rounds):
            return
        for _ in range(TRIES):
            for key in self._validators(epoch, at.round):
                try:
                    found = await certified_report(
                        epoch, self._host, self._exchange, at, key, body_bytes_max=BODY_BYTES_MAX
                    )
                except _FAULTS as error:
                    log.debug("pairs.unavailable", peer=key.hex()[:8], reason=str(error))
                    continue
                if found is not None:
                    await self._keep(epoch, found)
                    return
            await trio.sleep(TRY_AGAIN_S)
        log.info("pairs.missed", round=at.round, shard=at.shard)

    async def _keep(self, epoch: Epoch, found: CertifiedReport) -> None:
        at = found.header.body.at
        # It lies where answers are served from, and nobody asks an encoder for it.
        self._exchange.forget(found.header.body.body)
        try:
            pairs = await trio.to_thread.run_sync(pairs_of, epoch, found, self._on_audited)
        except AuditError as error:
            log.error("round.certified_but_false", round=at.round, shard=at.shard, reason=str(error))
            return
        new = await trio.to_thread.run_sync(self._pairs.add, pairs)
        log.info("pairs.gathered", round=at.round, shard=at.shard, new=new)

    def _validators(self, epoch: Epoch, round_: int) -> list[bytes]:
        """Those connected, in an order that is another for each encoder and round."""
        mine = round_.to_bytes(8, "big") + self._host.public_key
        keys = [peer.public_key for peer in self._host.peers() if peer.public_key in epoch.validators]
        return sorted(keys, key=lambda key: digest("pairs-source", mine, key))


def open_pairs(folder: Path) -> Pairs | None:
    """The pairs in a node's data directory; None where they cannot be kept: rounds go on without them."""
    try:
        return Pairs.open(folder)
    except StoreError as error:
        log.warning("pairs.unusable", reason=str(error))
        return None


def is_drawn(epoch: Epoch, at: ShardRound, encoder: bytes) -> bool:
    """Whether an encoder gathers the pairs of a shard-round: about PAIRS_PER_EPOCH of an epoch are enough."""
    parameters = epoch.parameters
    every = parameters.epoch_rounds * parameters.shards_per_round * parameters.scored_items
    place = digest("pairs-drawn", encoder, at.round.to_bytes(8, "big"), at.shard.to_bytes(8, "big"))
    return int.from_bytes(place[:8], "big") * every < PAIRS_PER_EPOCH << 64


def pairs_of(epoch: Epoch, found: CertifiedReport, on_audited: OnAudited = lambda _: None) -> list[Pair]:
    """The pairs of a certified report, once its body is audited: vectors under the root the header binds.

    Raises AuditError.
    """
    audited = audit_report(epoch, found.header, found.body)
    on_audited(audited)
    at, consensus = found.header.body.at, audited.body.scores.consensus
    centred = epoch.record.means != NOTHING
    return [
        Pair(item, consensus[start : start + VECTOR_BYTES], at.round, at.epoch, centred)
        for start, item in zip(range(0, len(consensus), VECTOR_BYTES), audited.batch.items, strict=True)
    ]
