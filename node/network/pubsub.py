"""The receiving half of gossip: frames off the stream, limits, the three-way verdict, delivery.

`Pubsub` is replaced where a peer's bytes enter it. What is kept: topics, subscriptions, peers' streams,
message ids.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

import trio
from blake3 import blake3
from libp2p.abc import INetStream
from libp2p.host.basic_host import BasicHost
from libp2p.network.stream.exceptions import StreamError
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.pubsub.rpc_queue import RpcQueue
from libp2p.pubsub.validators import PUBSUB_SIGNING_PREFIX, signature_validator
from libp2p.utils.varint import read_varint_prefixed_bytes_limited

from node.network.counters import Counters
from node.network.guard import guard_tasks, guarded
from node.network.identity import public_key
from node.network.limits import NetworkLimits
from node.network.rate import TokenBucket
from protocol.verdict import Verdict

Penalise = Callable[[bytes, float, str], None]
Deliver = Callable[[str, bytes, bytes], None]
Validator = Callable[[bytes, bytes], Verdict]

SEEN_S = 300.0
"""For how long a message is recognised when it comes again; five slots of a minute."""
# Room for the envelope around the largest message: author, key, signature, topic.
ENVELOPE_BYTES = 4096
TOPIC_BYTES_MAX = 256
_ENTRIES_PER_RPC_MAX = 4096
# One per connection a peer may have; the protocol itself needs one.
_STREAMS_PER_PEER_MAX = 3

COST_MALFORMED = 50.0
COST_REJECTED = 20.0
COST_FORGED = 25.0


class SeenMessages:
    """Message ids seen lately, oldest forgotten first; the library's cache has a thread and no size limit.

    Copies that gossip makes arrive within seconds. What comes again after `SEEN_S` is judged again, by
    someone who knows that its round is over; remembered for ever it would only take memory.
    """

    def __init__(self, entries_max: int, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._entries_max = entries_max
        self._clock_s = clock_s
        self._seen_s: OrderedDict[bytes, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen_s)

    def has(self, message_id: bytes) -> bool:
        """Whether the id was added and is still remembered."""
        return message_id in self._seen_s

    def add(self, message_id: bytes) -> bool:
        """Remember an id; True when it is new."""
        if message_id in self._seen_s:
            return False
        now_s = self._clock_s()
        while self._seen_s and (len(self) >= self._entries_max or self._oldest_s() < now_s - SEEN_S):
            self._seen_s.popitem(last=False)
        self._seen_s[message_id] = now_s
        return True

    def _oldest_s(self) -> float:
        return next(iter(self._seen_s.values()))


class _Buckets:
    """What one forwarder may send before its stream is read more slowly."""

    __slots__ = ("entries", "size", "useless")

    def __init__(self, limits: NetworkLimits, now_s: float) -> None:
        self.entries = TokenBucket(limits.gossip_messages_per_s, 4 * limits.gossip_messages_per_s, now_s)
        self.size = TokenBucket(limits.gossip_bytes_per_s, 2 * limits.gossip_bytes_per_s, now_s)
        self.useless = TokenBucket(limits.useless_messages_per_s, limits.useless_messages_burst, now_s)


class BoundedRpcQueue(RpcQueue):
    """A peer's outbound queue, bounded in messages and in bytes; drops are counted.

    The default holds 32: a burst of 300 messages loses half of itself, silently.
    """

    def __init__(self, limits: NetworkLimits, counters: Counters) -> None:
        super().__init__(limits.gossip_queue_messages, limits.gossip_bytes_max + ENVELOPE_BYTES)
        self._bytes_max = limits.gossip_queue_bytes
        self._bytes = 0
        self._counters = counters

    def push(self, rpc: rpc_pb2.RPC, priority: bool = False) -> bool:
        """Queue an RPC; False when the queue is full or closed."""
        size = rpc.ByteSize()
        if self._bytes + size > self._bytes_max or not super().push(rpc, priority):
            self._counters.add("gossip.dropped.outbound_queue_full")
            return False
        self._bytes += size
        return True

    async def pop(self) -> rpc_pb2.RPC | None:
        """The next RPC, or None once closed."""
        rpc = await super().pop()
        if rpc is not None:
            self._bytes -= rpc.ByteSize()
        return rpc


class HardenedPubsub(Pubsub):
    """libp2p's pubsub that drops and penalises where the library raises."""

    def __init__(
        self,
        host: BasicHost,
        router: GossipSub,
        limits: NetworkLimits,
        counters: Counters,
        penalise: Penalise,
        deliver: Deliver,
        is_banned: Callable[[bytes], bool] = lambda _: False,
    ) -> None:
        # The message id stays the default (author and sequence number): a custom one breaks IHAVE, whose ids
        # are looked up in a cache that is keyed by the default. Equal contents are recognised by the
        # application.
        super().__init__(host, router, strict_signing=True)
        self.seen_messages.stop()
        self.seen_messages = SeenMessages(limits.seen_messages_max)  # type: ignore[assignment]
        self._accepted = SeenMessages(limits.seen_messages_max)
        self._limits = limits
        self._counters = counters
        self._penalise = penalise
        self._deliver = deliver
        self._is_banned = is_banned
        self._buckets: dict[ID, _Buckets] = {}
        self._readers: dict[ID, int] = {}
        self.verdicts: dict[str, Validator] = {}

    async def run(self) -> None:
        """The service's main task."""
        guard_tasks(self, self._counters)
        await super().run()

    # Outgoing.

    async def publish(self, topic_id: str | list[str], data: bytes) -> None:
        """Sign and send a message of our own to one topic; it is not delivered to ourselves."""
        topics = [topic_id] if isinstance(topic_id, str) else topic_id
        message = rpc_pb2.Message(
            data=data, topicIDs=topics, from_id=self.my_id.to_bytes(), seqno=self._next_seqno()
        )
        assert self.sign_key is not None
        message.signature = self.sign_key.sign(PUBSUB_SIGNING_PREFIX.encode() + message.SerializeToString())
        message.key = self.host.get_public_key().serialize()
        self._mark_msg_seen(message)
        for topic in topics:
            self._accepted.add(_content(topic, data))
        await self.router.publish(self.my_id, message)

    async def _handle_new_peer(self, peer_id: ID) -> None:
        """Register a peer that can be written to, and tell it every topic of ours."""
        told = set(self.topic_ids)
        await super()._handle_new_peer(peer_id)
        # A topic subscribed between the greeting and the registration is in neither the greeting nor the
        # announcement: without this the peer never learns of it and the mesh never forms.
        queue = self.peer_queues.get(peer_id)
        for topic in set(self.topic_ids) - told:
            if queue is not None:
                queue.push(rpc_pb2.RPC(subscriptions=[rpc_pb2.RPC.SubOpts(subscribe=True, topicid=topic)]))

    # Incoming.

    async def stream_handler(self, stream: INetStream) -> None:
        """Read one peer's gossip stream to its end, whatever is on it."""
        peer = stream.muxed_conn.peer_id
        key = public_key(peer) or b""
        if self._readers.get(peer, 0) >= _STREAMS_PER_PEER_MAX:
            # Each may hold a whole unfinished frame.
            self._counters.add("rejected.gossip_stream")
            await stream.reset()
            return
        self._readers[peer] = self._readers.get(peer, 0) + 1
        try:
            while self.manager.is_running:
                await self._read_rpc(stream, peer, key)
        except StreamError:
            self._counters.add("gossip.stream_ended")
        except Exception as error:
            # A garbage length, protobuf or field: no honest node sends it. Unguarded it ends the process.
            guarded(self._counters, "gossip", error)
            self._penalise(key, COST_MALFORMED, "malformed gossip")
        finally:
            self._readers[peer] -= 1
            if not self._readers[peer]:
                del self._readers[peer]
        await stream.reset()
        self._handle_dead_peer(peer)

    async def handle_sending_messages(self, peer_id: ID, stream: INetStream, queue: RpcQueue) -> None:
        """Send what is queued for one peer, out of a queue with this host's bounds."""
        bounded = BoundedRpcQueue(self._limits, self._counters)
        while (queued := queue._queue.pop()) is not None:
            bounded.push(queued)
        self.peer_queues[peer_id] = bounded
        await super().handle_sending_messages(peer_id, stream, bounded)

    def _handle_dead_peer(self, peer_id: ID) -> None:
        if not self._peer_is_connected(peer_id):
            self._buckets.pop(peer_id, None)
        # Two processes of one key: the stream of one has ended, the other's is read on, and what it has
        # subscribed to it will not say again. The library forgets it, and the peer hears no gossip any more.
        kept = self._topics_of(peer_id) if self._readers.get(peer_id) else ()
        try:
            super()._handle_dead_peer(peer_id)
            for topic in kept:
                self.handle_subscription(peer_id, rpc_pb2.RPC.SubOpts(subscribe=True, topicid=topic))
        except Exception as error:
            # Raised here it would end the task that notices every other peer's end.
            guarded(self._counters, "dead_peer", error)

    def _topics_of(self, peer_id: ID) -> tuple[str, ...]:
        return tuple(sorted(topic for topic, peers in self.peer_topics.items() if peer_id in peers))

    async def _read_rpc(self, stream: INetStream, peer: ID, key: bytes) -> None:
        frame = await read_varint_prefixed_bytes_limited(
            stream, self._limits.gossip_bytes_max + ENVELOPE_BYTES
        )
        rpc = rpc_pb2.RPC()
        rpc.ParseFromString(frame)
        self._counters.add("gossip.bytes_in", len(frame))
        entries = _entry_count(rpc)
        if entries > _ENTRIES_PER_RPC_MAX:
            raise ValueError(f"{entries} entries in one RPC")
        await self._slow_down(peer, entries, len(frame))
        for subscription in rpc.subscriptions:
            if len(subscription.topicid) > TOPIC_BYTES_MAX:
                raise ValueError("topic name too long")
            self.handle_subscription(peer, subscription)
        for message in rpc.publish:
            # In line, one after the other: the library starts a task per message, 50,000 of them for one
            # frame.
            await self.push_msg(peer, message)
        if rpc.HasField("control"):
            # Peer records and peer exchange store and dial what a stranger says; neither is used here.
            rpc.ClearField("senderRecord")
            await self.router.handle_rpc(rpc, peer)

    async def _slow_down(self, peer: ID, entries: int, size_bytes: int) -> None:
        now_s = trio.current_time()
        buckets = self._buckets_of(peer)
        wait_s = max(buckets.entries.take(entries, now_s), buckets.size.take(size_bytes, now_s))
        if wait_s > 0:
            self._counters.add("gossip.slowed")
            await trio.sleep(wait_s)

    async def _slow_down_useless(self, peer: ID) -> None:
        wait_s = self._buckets_of(peer).useless.take(1.0, trio.current_time())
        if wait_s > 0:
            self._counters.add("gossip.slowed.useless")
            await trio.sleep(wait_s)

    def _buckets_of(self, peer: ID) -> _Buckets:
        buckets = self._buckets.get(peer)
        if buckets is None:
            buckets = self._buckets[peer] = _Buckets(self._limits, trio.current_time())
        return buckets

    async def push_msg(self, msg_forwarder: ID, msg: rpc_pb2.Message) -> None:
        """Judge one message of a peer: deliver and forward it, drop it, or also penalise the forwarder.

        Nothing is awaited between the look-up of the id and its marking, so each message is judged exactly
        once (with the library's asynchronous validators copies slip through meanwhile).
        """
        key = public_key(msg_forwarder) or b""
        topic = msg.topicIDs[0] if len(msg.topicIDs) == 1 else ""
        validator = self.verdicts.get(topic)
        message_id = self._msg_id_constructor(msg)
        if self._is_banned(key):
            # Read before its connection was closed.
            self._counters.add("gossip.dropped.banned")
        elif validator is None:
            self._counters.add("gossip.dropped.unknown_topic")
        elif self.seen_messages.has(message_id):
            self._counters.add("gossip.dropped.duplicate")
        elif len(msg.data) > self._limits.gossip_bytes_max or len(message_id) > 128:
            self._counters.add("gossip.dropped.too_large")
            self._penalise(key, COST_MALFORMED, "message too large")
        elif self._accepted.has(_content(topic, msg.data)):
            # What was accepted once, in a message of someone else's: no signature is worth checking for it.
            self._counters.add("gossip.dropped.repeated")
            await self._slow_down_useless(msg_forwarder)
        elif not _is_signed(msg):
            # Before the validator: an unsigned copy of a genuine message must not mark the genuine one as
            # seen.
            self._counters.add("gossip.dropped.bad_signature")
            self._penalise(key, COST_FORGED, "message with a bad signature")
        else:
            self.seen_messages.add(message_id)
            verdict = await self._judge(validator, topic, msg, key)
            if verdict is Verdict.ACCEPT:
                await self.router.publish(msg_forwarder, msg)
            elif verdict is Verdict.IGNORE:
                await self._slow_down_useless(msg_forwarder)

    async def _judge(self, validator: Validator, topic: str, msg: rpc_pb2.Message, key: bytes) -> Verdict:
        try:
            verdict = validator(msg.data, key)
        except Exception as error:
            # Our own fault, not the forwarder's; unguarded it ends the process.
            guarded(self._counters, "validator", error)
            verdict = Verdict.IGNORE
        if verdict is Verdict.ACCEPT:
            self._counters.add("gossip.delivered")
            self._accepted.add(_content(topic, msg.data))
            self._deliver(topic, msg.data, key)
        else:
            self._counters.add(f"gossip.dropped.{verdict.value}")
        if verdict is Verdict.REJECT:
            self._penalise(key, COST_REJECTED, "message no honest node forwards")
        await trio.lowlevel.checkpoint()
        return verdict


def _entry_count(rpc: rpc_pb2.RPC) -> int:
    control = rpc.control
    ids = sum(len(have.messageIDs) for have in control.ihave) + sum(
        len(want.messageIDs) for want in control.iwant
    )
    lists = (control.ihave, control.iwant, control.graft, control.prune, control.idontwant)
    return 1 + len(rpc.publish) + len(rpc.subscriptions) + ids + sum(len(entries) for entries in lists)


def _content(topic: str, data: bytes) -> bytes:
    """What names a message whoever wraps it."""
    return blake3(topic.encode() + b"\0" + data).digest()


def _is_signed(message: rpc_pb2.Message) -> bool:
    try:
        return signature_validator(message)
    except Exception:
        # The library raises on a key it cannot parse; to us that is one more way not to be signed.
        return False
