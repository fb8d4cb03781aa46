"""The routing half of gossip: gossipsub 1.1 with its heuristics off and its memory bounded."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable

from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub
from libp2p.pubsub.mcache import MessageCache
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.pubsub.utils import safe_bytes_from_hex

from node.network.counters import Counters
from node.network.guard import guard_tasks
from node.network.limits import NetworkLimits

_IWANT_IDS_MAX = 512


class BoundedMessageCache(MessageCache):
    """Recent messages for IHAVE and IWANT, bounded in bytes; what does not fit is simply not offered."""

    def __init__(self, window_size: int, history_size: int, bytes_max: int) -> None:
        super().__init__(window_size, history_size)
        self._bytes_max = bytes_max
        self.size_bytes = 0

    def put(self, msg: rpc_pb2.Message) -> None:
        """Keep a message for the next heartbeats, if there is room."""
        if self.size_bytes + len(msg.data) <= self._bytes_max:
            self.size_bytes += len(msg.data)
            super().put(msg)

    def shift(self) -> None:
        """Forget the oldest heartbeat's messages."""
        super().shift()
        self.size_bytes = sum(len(message.data) for message in self.msgs.values())


class HardenedGossipSub(GossipSub):
    """libp2p's gossipsub, told to keep out of what is ours: rates, reputation, evidence."""

    def __init__(self, limits: NetworkLimits, counters: Counters) -> None:
        super().__init__(
            # 1.1 only: 1.2 sends IDONTWANT for messages of every size, which doubles the number of RPCs.
            protocols=[PROTOCOL_ID_V11],
            degree=limits.degree,
            degree_low=max(1, limits.degree - 2),
            # Never prune whom the mesh has: PRUNE records no backoff at the pruner, the re-GRAFT that follows
            # is taken for a flood, and with 16 or more peers messages are lost. Instead nobody is let in
            # above `meshed_max`, see `handle_graft`.
            degree_high=max(limits.degree, limits.connections_max),
            heartbeat_interval=limits.heartbeat_s,  # type: ignore[arg-type]
            heartbeat_initial_delay=0.1,
            # The heartbeat would slow down to 60 s, from 120 s to begin with.
            adaptive_gossip_enabled=False,
            # 10 messages a second and topic, charged to whoever forwards them.
            spam_protection_enabled=False,
            # Grafts by address diversity: on one machine or behind one NAT everybody looks like an eclipse.
            eclipse_protection_enabled=False,
            do_px=False,
        )
        self.mcache = BoundedMessageCache(3, 5, limits.cache_bytes_max)
        # Its thresholds are minus infinity, a reconnect wipes it, and it blocks grafts only: reputation is
        # ours.
        self.scorer = None
        self._counters = counters
        self._limits = limits
        self._preferred: Callable[[ID], bool] = lambda _: False
        self._preferred_min = 0
        self._announcing = False

    def prefer(self, preferred: Callable[[ID], bool], meshed_min: int) -> None:
        """Let these peers into any mesh, however full, and keep `meshed_min` of them in each."""
        self._preferred = preferred
        self._preferred_min = meshed_min

    async def run(self) -> None:
        """The service's main task."""
        guard_tasks(self, self._counters)
        await super().run()

    def _check_equivocation(self, msg: rpc_pb2.Message) -> bool:
        # Keeps up to a thousand whole messages in memory; evidence of equivocation is the protocol's.
        return True

    async def _maintain_mesh_quality(self, topic: str) -> None:
        # Replaces mesh peers by score, with the PRUNE that loses messages; scores are not used here.
        return

    def _get_adaptive_gossip_peers_count(self, topic: str, total_peers: int) -> int:
        # The library's quarter of all peers grows with how many are connected.
        return self._limits.announced_to

    def gossip_heartbeat(self) -> defaultdict[ID, dict[str, list[bytes]]]:
        """Peers to tell of recent messages, those that were refused in the mesh among them."""
        self._announcing = True
        try:
            return super().gossip_heartbeat()
        finally:
            self._announcing = False

    def _get_in_topic_gossipsub_peers_from_minus(
        self, topic: str, num_to_select: int, minus: Iterable[ID], backoff_check: bool = False
    ) -> list[ID]:
        if not self._announcing:
            return super()._get_in_topic_gossipsub_peers_from_minus(
                topic, num_to_select, minus, backoff_check
            )
        if not self._preferred_min:
            # Preferred peers hear from each other; told by everybody else they would hear from too many.
            assert isinstance(self.pubsub, Pubsub)
            minus = {*minus, *filter(self._preferred, self.pubsub.peer_topics.get(topic, ()))}
        # The library announces nothing to who may not be grafted yet: the very peers that need it.
        return super()._get_in_topic_gossipsub_peers_from_minus(topic, num_to_select, minus)

    def mesh_heartbeat(self) -> tuple[defaultdict[ID, list[str]], defaultdict[ID, list[str]]]:
        """Peers to graft and to prune; beside the library's, enough of those that are preferred.

        Without them whoever comes first could fill every mesh and keep the preferred peers apart.
        """
        grafts, prunes = super().mesh_heartbeat()
        for topic, mesh in self.mesh.items():
            lacking = self._preferred_min - sum(map(self._preferred, mesh))
            assert isinstance(self.pubsub, Pubsub)
            for peer in self.pubsub.peer_topics.get(topic, set()) - mesh:
                if lacking <= 0:
                    break
                known = self.peer_protocol.get(peer) == PROTOCOL_ID_V11
                if known and self._preferred(peer) and not self._check_back_off(peer, topic):
                    mesh.add(peer)
                    self._notify_mesh_peer_added(peer, topic)
                    grafts[peer].append(topic)
                    lacking -= 1
        return grafts, prunes

    async def handle_graft(self, graft_msg: rpc_pb2.ControlGraft, sender_peer_id: ID) -> None:
        """Let a peer into the mesh of a topic, or tell it that there is no room and to ask again later."""
        topic = graft_msg.topicID
        mesh = self.mesh.get(topic, set())
        if sender_peer_id not in mesh and not self._preferred(sender_peer_id):
            others = sum(not self._preferred(peer) for peer in mesh)
            if others >= self._limits.meshed_max:
                self._counters.add("gossip.graft_refused")
                # Here too, which the library forgets: grafted from here meanwhile it would have to refuse.
                self._add_back_off(sender_peer_id, topic, False)
                await self.emit_prune(topic, sender_peer_id, False, False)
                return
        await super().handle_graft(graft_msg, sender_peer_id)

    def remove_peer(self, peer_id: ID) -> None:
        """Forget a peer that has gone, with the times before which it is not grafted again."""
        super().remove_peer(peer_id)
        for peers in self.back_off.values():
            peers.pop(peer_id, None)

    async def publish(self, msg_forwarder: ID, pubsub_msg: rpc_pb2.Message) -> None:
        """Forward a message to the mesh, and keep it for those who ask.

        The library's version also appends a time stamp per message to a list it never trims, keeps up to 100
        messages for every peer that is not subscribed, and copies the message once per peer.
        """
        assert isinstance(self.pubsub, Pubsub)
        self.mcache.put(pubsub_msg)
        rpc = rpc_pb2.RPC(publish=[pubsub_msg])
        for topic in pubsub_msg.topicIDs:
            if topic not in self.mesh:
                self.time_since_last_publish[topic] = int(time.time())
        for peer in self._get_peers_to_send(pubsub_msg.topicIDs, msg_forwarder, ID(pubsub_msg.from_id)):
            queue = self.pubsub.peer_queues.get(peer)
            if queue is not None and queue.push(rpc):
                self._counters.add("gossip.bytes_out", rpc.ByteSize())

    async def handle_rpc(self, rpc: rpc_pb2.RPC, sender_peer_id: ID) -> None:
        """Control messages, less those about foreign topics: each would be remembered under its name."""
        control = rpc_pb2.ControlMessage()
        control.graft.extend(entry for entry in rpc.control.graft if entry.topicID in self.mesh)
        control.ihave.extend(entry for entry in rpc.control.ihave if entry.topicID in self.mesh)
        control.iwant.extend(rpc.control.iwant)
        for prune in rpc.control.prune:
            if prune.topicID in self.mesh:
                # Without the peers it recommends: following them means dialling whatever a stranger names.
                control.prune.append(
                    rpc_pb2.ControlPrune(
                        topicID=prune.topicID, backoff=min(prune.backoff, self.prune_back_off)
                    )
                )
        await super().handle_rpc(rpc_pb2.RPC(control=control), sender_peer_id)

    async def handle_iwant(self, iwant_msg: rpc_pb2.ControlIWant, sender_peer_id: ID) -> None:
        """Send what a peer asks for, each message by itself, into its bounded queue.

        The library packs everything asked for into one RPC first: a small request makes it copy all recent
        messages.
        """
        assert isinstance(self.pubsub, Pubsub)
        queue = self.pubsub.peer_queues.get(sender_peer_id)
        if queue is None or not self._check_iwant_rate_limit(sender_peer_id):
            return
        for text in iwant_msg.messageIDs[:_IWANT_IDS_MAX]:
            message_id = safe_bytes_from_hex(text)
            message = self.mcache.get(message_id) if message_id is not None else None
            if message is not None and not queue.push(rpc_pb2.RPC(publish=[message])):
                return
