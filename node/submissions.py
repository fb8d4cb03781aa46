"""Submitted items on their way to a dealer: pending ones are handed to the next round's dealer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Annotated

import msgspec
import structlog
import trio

from node.clock import now_ms
from node.epochs.admission import is_validator_of_late
from node.network.errors import RequestError, RequestRefused
from node.network.host import Host
from node.store import QueueFull, Store, StoreError
from protocol.codec import CodecError, Record, decode, encode
from protocol.epochs.known import Epochs
from protocol.items import ItemError, item_id
from protocol.modalities import ITEM_BYTES_MAX
from protocol.schedule import dealer_of, shard_round

METHOD = "items"
ITEMS_MAX = 256
ITEM_OVERHEAD_BYTES = 8
FRAME_BYTES = 64
REQUEST_BYTES_MAX = 4 << 20
"""About 500 of the largest texts, 60 of the largest pictures; what does not fit goes next time."""
COST_NONSENSE = 20.0
HANDED_ROUNDS_KEPT = 2
"""The round under way and the next: what was handed over for older ones is pending here, or done."""

log = structlog.get_logger(__name__)


class Handover(Record, frozen=True):
    """Items one validator asks another to serve."""

    items: Annotated[
        tuple[Annotated[bytes, msgspec.Meta(max_length=ITEM_BYTES_MAX)], ...],
        msgspec.Meta(max_length=ITEMS_MAX),
    ]


def _fitting(items: Sequence[bytes]) -> Sequence[bytes]:
    """The first of the items, as many as one request holds."""
    sizes_bytes = accumulate(len(item) + ITEM_OVERHEAD_BYTES for item in items)
    fitting = sum(size_bytes <= REQUEST_BYTES_MAX - FRAME_BYTES for size_bytes in sizes_bytes)
    return items[:fitting]


class Submissions:
    """Pending items of this node; they stay pending here until a certificate covers them."""

    def __init__(self, epochs: Epochs, host: Host, store: Store) -> None:
        self._epochs = epochs
        self._genesis = epochs.genesis
        self._host = host
        self._store = store
        self._handed: dict[int, dict[bytes, None]] = {}  # by round: the items its dealer took from here
        host.handle(METHOD, self._take, request_bytes_max=REQUEST_BYTES_MAX, response_bytes_max=16)

    def pending(self) -> tuple[bytes, ...]:
        """What this node would serve now, clients in turn, within a batch's bound. Raises StoreError."""
        limit = min(ITEMS_MAX, self._genesis.parameters.served_items_max)
        records = self._store.pending(limit) if limit else []
        return tuple(record.content for record in records if record.content is not None)

    async def hand_over(self, round_: int) -> None:
        """Give pending items to one dealer of a round that is about to begin. Raises StoreError.

        Called again for the same round it gives what came since, all in all no more than one batch holds.
        What waits for the outcome of the round before comes last: its certificate may cover it.
        """
        items = await trio.to_thread.run_sync(self._to_hand_over, round_)
        shards = range(self._genesis.parameters.shards_per_round)
        places = [shard_round(self._genesis, round_, shard) for shard in shards]
        epoch = self._epochs.find(places[0].epoch)
        if epoch is None:
            return
        dealers = [dealer_of(epoch, at) for at in places]
        if not items or self._host.public_key in dealers:
            return
        items = _fitting(items)
        for dealer in dealers:
            try:
                answer = await self._host.request(
                    dealer, METHOD, encode(Handover(tuple(items))), timeout_s=10.0
                )
            except RequestError as error:
                # They stay pending; the next round has another dealer.
                log.info("items.not_handed_over", peer=dealer.hex()[:8], reason=str(error))
            else:
                self._remember(round_, items[: _count(answer)])
                return

    def _to_hand_over(self, round_: int) -> Sequence[bytes]:
        """Pending items that the dealer of a round should have and was not given."""
        limit = min(ITEMS_MAX, self._genesis.parameters.served_items_max)
        given = self._handed.get(round_, {})
        under_way = self._handed.get(round_ - 1, {})
        records = self._store.pending(limit + len(given) + len(under_way))
        pending = [record.content for record in records if record.content is not None]
        # What was given and is certified since takes no room in the batch.
        room = limit - sum(item in given for item in pending)
        waiting = (item for item in pending if item not in given)
        return sorted(waiting, key=under_way.__contains__)[: max(0, room)]

    def _remember(self, round_: int, items: Iterable[bytes]) -> None:
        self._handed.setdefault(round_, {}).update(dict.fromkeys(items))
        while len(self._handed) > HANDED_ROUNDS_KEPT:
            del self._handed[min(self._handed)]

    async def _take(self, peer: bytes, payload: bytes) -> bytes:
        if not is_validator_of_late(self._epochs, peer):
            raise RequestRefused("items are taken from validators only")
        try:
            handover = decode(payload, Handover, size_bytes_max=REQUEST_BYTES_MAX)
            for item in handover.items:
                self._genesis.modality.check(item)
        except (CodecError, ItemError) as error:
            self._host.penalise(peer, COST_NONSENSE, f"hands over nonsense: {error}")
            raise RequestRefused("not canonical items") from None
        try:
            taken = await trio.to_thread.run_sync(self._queue, handover.items, peer)
        except StoreError as error:
            raise RequestRefused("the store takes no items now") from error
        return str(taken).encode()

    def _queue(self, items: tuple[bytes, ...], peer: bytes) -> int:
        """How many of the items are in the queue now, which may be full before the last."""
        source = f"peer {peer.hex()[:8]}"
        for taken, item in enumerate(items):
            try:
                self._store.submit_item(
                    item_id(item),
                    item,
                    modality=self._genesis.modality.name,
                    source=source,
                    submitted_ms=now_ms(),
                    client=f"peer {peer.hex()}",
                )
            except QueueFull:
                log.info("items.queue_full", source=source, taken=taken)
                return taken
        return len(items)


def _count(answer: bytes) -> int:
    """How many items a dealer says it took, 0 where it says nothing of the kind."""
    return int(answer) if answer.isdigit() else 0
