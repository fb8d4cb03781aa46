"""Submitted items on their way to a dealer: pending ones are handed to the next round's dealer."""

from __future__ import annotations

from typing import Annotated

import msgspec
import structlog

from node.clock import now_ms
from node.network.errors import RequestError, RequestRefused
from node.network.host import Host
from node.store import QueueFull, Store, StoreError
from protocol.codec import CodecError, Record, decode, encode
from protocol.genesis import Genesis
from protocol.items import ITEM_BYTES_MAX, ItemError, check_canonical_text, item_id
from protocol.schedule import dealer_of, shard_round

METHOD = "items"
ITEMS_MAX = 256
REQUEST_BYTES_MAX = ITEMS_MAX * (ITEM_BYTES_MAX + 8) + 64
MODALITY = "text"
COST_NONSENSE = 20.0

log = structlog.get_logger(__name__)


class Handover(Record, frozen=True):
    """Items one validator asks another to serve."""

    items: Annotated[
        tuple[Annotated[bytes, msgspec.Meta(max_length=ITEM_BYTES_MAX)], ...],
        msgspec.Meta(max_length=ITEMS_MAX),
    ]


class Submissions:
    """Pending items of this node; they stay pending here until a certificate covers them."""

    def __init__(self, genesis: Genesis, host: Host, store: Store) -> None:
        self._genesis = genesis
        self._host = host
        self._store = store
        host.handle(METHOD, self._take, request_bytes_max=REQUEST_BYTES_MAX, response_bytes_max=16)

    def pending(self) -> tuple[bytes, ...]:
        """What this node would serve now, oldest first, within the network's bound for one batch."""
        limit = min(ITEMS_MAX, self._genesis.parameters.served_items_max)
        records = self._store.pending(limit) if limit else []
        return tuple(record.content for record in records if record.content is not None)

    async def hand_over(self, round_: int) -> None:
        """Give pending items to the dealers of a round that is about to begin."""
        items = self.pending()
        if not items:
            return
        for shard in range(self._genesis.parameters.shards_per_round):
            dealer = dealer_of(self._genesis, shard_round(self._genesis, round_, shard))
            if dealer == self._host.public_key:
                return
            try:
                await self._host.request(dealer, METHOD, encode(Handover(items)), timeout_s=10.0)
                return
            except RequestError as error:
                # They stay pending; the next round has another dealer.
                log.info("items.not_handed_over", peer=dealer.hex()[:8], reason=str(error))

    async def _take(self, peer: bytes, payload: bytes) -> bytes:
        if peer not in self._genesis.validators:
            raise RequestRefused("items are taken from validators only")
        try:
            handover = decode(payload, Handover, size_bytes_max=REQUEST_BYTES_MAX)
            for item in handover.items:
                check_canonical_text(item)
        except (CodecError, ItemError) as error:
            self._host.penalise(peer, COST_NONSENSE, f"hands over nonsense: {error}")
            raise RequestRefused("not canonical items") from None
        taken = 0
        try:
            for item in handover.items:
                self._store.submit_item(
                    item_id(item),
                    item,
                    modality=MODALITY,
                    source=f"peer {peer.hex()[:8]}",
                    submitted_ms=now_ms(),
                )
                taken += 1
        except QueueFull:
            log.info("items.queue_full", peer=peer.hex()[:8], taken=taken)
        except StoreError as error:
            raise RequestRefused("the store takes no items now") from error
        return str(taken).encode()
