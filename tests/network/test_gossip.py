"""Gossip: what is delivered, to whom, how often, and who pays for it."""

from __future__ import annotations

import pytest
import trio
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import get_peer_and_seqno_msg_id

from node.network.errors import MessageTooLarge
from node.network.host import Host
from node.network.limits import NetworkLimits
from protocol.verdict import Verdict
from tests.network.peers import (
    TOPIC,
    accept,
    collect,
    hosts,
    meshed,
    pair,
    raw_gossip,
    rpc_bytes,
    until,
    verdict,
    works,
)

pytestmark = [pytest.mark.anyio, pytest.mark.network]


async def test_publish__reaches_the_other_with_the_forwarders_key_and_not_oneself() -> None:
    async with pair() as (first, second):
        mine = await first.subscribe(TOPIC, accept)
        theirs = await second.subscribe(TOPIC, accept)
        await meshed([first, second])
        await first.publish(TOPIC, b"hello")
        assert await theirs.receive() == (b"hello", first.public_key)
        await second.publish(TOPIC, b"back")
        assert await collect(mine, 2, 0.1) == [b"back"]


async def test_publish__burst_of_300_arrives_whole() -> None:
    # With the library's queues of 32 more than half of it is lost, without a word.
    async with pair() as (first, second):
        await first.subscribe(TOPIC, accept)
        received = await second.subscribe(TOPIC, accept)
        await meshed([first, second])
        for number in range(300):
            await first.publish(TOPIC, b"%d" % number)
        assert await collect(received, 300) == [b"%d" % number for number in range(300)]


async def test_publish__more_than_a_message_may_hold_raises() -> None:
    async with hosts(1) as (host,):
        with pytest.raises(MessageTooLarge, match="serve the bytes as a blob"):
            await host.publish(TOPIC, bytes(1024 * 1024 + 1))


async def test_publish__largest_message_arrives() -> None:
    async with pair() as (first, second):
        await first.subscribe(TOPIC, accept)
        received = await second.subscribe(TOPIC, accept)
        await meshed([first, second])
        await first.publish(TOPIC, bytes(1024 * 1024))
        assert [len(data) for data in await collect(received, 1)] == [1024 * 1024]


async def test_three_hosts_in_a_line__middle_forwards_what_it_accepts_only() -> None:
    asked: list[bytes] = []

    def judge(data: bytes, key: bytes) -> Verdict:
        asked.append(data)
        return {b"good": Verdict.ACCEPT, b"late": Verdict.IGNORE, b"bad": Verdict.REJECT}[data]

    async with hosts(3) as (left, middle, right):
        await left.dial(middle.addresses[0])
        await right.dial(middle.addresses[0])
        await left.subscribe(TOPIC, accept)
        here = await middle.subscribe(TOPIC, judge)
        there = await right.subscribe(TOPIC, accept)
        await meshed([left, middle, right])
        for data in (b"late", b"bad", b"good"):
            await left.publish(TOPIC, data)
        assert await collect(there, 2, 0.5) == [b"good"]
        assert await collect(here, 2, 0.1) == [b"good"]
        assert asked == [b"late", b"bad", b"good"]
        assert middle.counters["gossip.dropped.ignore"] == 1
        assert middle.counters["gossip.dropped.reject"] == 1


async def test_ignore__is_never_punished() -> None:
    async with pair() as (first, second):
        penalties: list[tuple[bytes, str, float]] = []
        first.on_misbehaviour(lambda *penalty: penalties.append(penalty))
        await first.subscribe(TOPIC, verdict(Verdict.IGNORE))
        await second.subscribe(TOPIC, accept)
        await meshed([first, second])
        for number in range(50):
            await second.publish(TOPIC, b"%d" % number)
        await until(lambda: first.counters.get("gossip.dropped.ignore") == 50)
        assert penalties == []
        assert first.penalty(second.public_key) == 0.0
        assert first.is_connected(second.public_key)


async def test_reject__costs_the_forwarder_until_it_is_banned() -> None:
    async with pair() as (first, second):
        penalties: list[tuple[bytes, str, float]] = []
        first.on_misbehaviour(lambda *penalty: penalties.append(penalty))
        await first.subscribe(TOPIC, verdict(Verdict.REJECT))
        await second.subscribe(TOPIC, accept)
        await meshed([first, second])
        for number in range(8):
            await second.publish(TOPIC, b"%d" % number)
        await until(lambda: first.is_banned(second.public_key) and not first.peers())
        assert penalties[0] == (second.public_key, "message no honest node forwards", 20.0)


async def test_validator_that_raises__drops_the_message_and_blames_nobody() -> None:
    # By default an exception in a validator ends the process.
    async with pair() as (first, second):
        received = await first.subscribe(TOPIC, lambda data, key: Verdict[data.decode()])
        await second.subscribe(TOPIC, accept)
        await meshed([first, second])
        await second.publish(TOPIC, b"nonsense")
        await second.publish(TOPIC, b"ACCEPT")
        assert await collect(received, 1) == [b"ACCEPT"]
        assert first.counters["guarded.validator.KeyError"] == 1
        assert first.penalty(second.public_key) == 0.0


async def test_on_misbehaviour__callback_that_raises_is_contained() -> None:
    async with pair() as (first, second):
        first.on_misbehaviour(lambda key, reason, cost: 1 / 0)  # type: ignore[arg-type, return-value]
        await first.subscribe(TOPIC, verdict(Verdict.REJECT))
        await second.subscribe(TOPIC, accept)
        await meshed([first, second])
        await second.publish(TOPIC, b"x")
        await until(lambda: first.counters.get("guarded.on_misbehaviour.ZeroDivisionError"))
        assert await works(first, second)


def signed(author: Host, data: bytes, topic: str = TOPIC) -> rpc_pb2.Message:
    """A message as `author` would publish it."""
    message = rpc_pb2.Message(
        data=data,
        topicIDs=[topic],
        from_id=author._libp2p.get_id().to_bytes(),
        seqno=author._pubsub._next_seqno(),
    )
    key = author._libp2p.get_private_key()
    message.signature = key.sign(b"libp2p-pubsub:" + message.SerializeToString())
    return message


async def test_repeats_in_new_messages__cost_no_signature_and_pass_the_validator_once() -> None:
    # A member may wrap what others said in messages of its own, as often as it likes.
    judged: list[bytes] = []

    def judge(data: bytes, key: bytes) -> Verdict:
        judged.append(data)
        return Verdict.ACCEPT

    async with pair() as (first, second):
        await first.subscribe(TOPIC, judge)
        stream = await raw_gossip(second, first)
        for data in (b"one", b"one", b"two", b"one"):
            await stream.write(rpc_bytes(rpc_pb2.RPC(publish=[signed(second, data)])))
        await until(lambda: len(judged) == 2 and first.counters.get("gossip.dropped.repeated") == 2)
        assert judged == [b"one", b"two"]
        assert first.penalty(second.public_key) == 0


async def test_repeats_without_end__are_read_slowly() -> None:
    limits = NetworkLimits(useless_messages_per_s=20.0, useless_messages_burst=10.0)
    async with pair(limits) as (first, second):
        await first.subscribe(TOPIC, accept)
        stream = await raw_gossip(second, first)
        started_s = trio.current_time()
        await stream.write(rpc_bytes(rpc_pb2.RPC(publish=[signed(second, b"one") for _ in range(31)])))
        await until(lambda: first.counters.get("gossip.dropped.repeated") == 30)
        assert trio.current_time() - started_s >= 0.9
        assert first.counters["gossip.slowed.useless"] == 20
        assert first.penalty(second.public_key) == 0


async def test_own_message__coming_back_in_anothers_wrapper_is_not_judged() -> None:
    async with pair() as (first, second):
        judged: list[bytes] = []

        def judge(data: bytes, key: bytes) -> Verdict:
            judged.append(data)
            return Verdict.ACCEPT

        await first.subscribe(TOPIC, judge)
        await first.publish(TOPIC, b"mine")
        stream = await raw_gossip(second, first)
        await stream.write(rpc_bytes(rpc_pb2.RPC(publish=[signed(second, b"mine"), signed(second, b"end")])))
        await until(lambda: judged == [b"end"])
        assert first.counters["gossip.dropped.repeated"] == 1


async def test_refused_content__does_not_stand_in_the_way_of_its_acceptance() -> None:
    verdicts = [Verdict.IGNORE, Verdict.ACCEPT]
    async with pair() as (first, second):
        received = await first.subscribe(TOPIC, lambda data, key: verdicts.pop(0))
        stream = await raw_gossip(second, first)
        for _ in range(2):
            await stream.write(rpc_bytes(rpc_pb2.RPC(publish=[signed(second, b"early")])))
        assert await collect(received, 1) == [b"early"]
        assert verdicts == []


async def test_duplicates__pass_the_validator_once() -> None:
    judged: list[bytes] = []

    def judge(data: bytes, key: bytes) -> Verdict:
        judged.append(data)
        return Verdict.ACCEPT

    async with pair() as (first, second):
        received = await first.subscribe(TOPIC, judge)
        stream = await raw_gossip(second, first)
        message = signed(second, b"once")
        for _ in range(5):
            await stream.write(rpc_bytes(rpc_pb2.RPC(publish=[message] * 4)))
        await until(lambda: first.counters.get("gossip.dropped.duplicate") == 19)
        assert judged == [b"once"]
        assert await collect(received, 2, 0.1) == [b"once"]
        assert first.penalty(second.public_key) == 0.0, "copies are normal in gossip"


async def test_unsigned_copy__does_not_keep_the_genuine_message_out() -> None:
    async with pair() as (first, second):
        received = await first.subscribe(TOPIC, accept)
        stream = await raw_gossip(second, first)
        genuine = signed(second, b"genuine")
        forged = rpc_pb2.Message()
        forged.CopyFrom(genuine)
        forged.signature = bytes(64)
        await stream.write(rpc_bytes(rpc_pb2.RPC(publish=[forged, genuine])))
        assert await collect(received, 1) == [b"genuine"]
        assert first.counters["gossip.dropped.bad_signature"] == 1
        assert first.penalty(second.public_key) > 0


async def test_replayed_own_message__is_not_delivered_back() -> None:
    async with pair() as (first, second):
        received = await first.subscribe(TOPIC, accept)
        await first.publish(TOPIC, b"mine")
        stream = await raw_gossip(second, first)
        (message,) = first._router.mcache.msgs.values()
        await stream.write(rpc_bytes(rpc_pb2.RPC(publish=[message])))
        await until(lambda: first.counters.get("gossip.dropped.duplicate") == 1)
        assert await collect(received, 1, 0.05) == []


async def test_ihave__brings_a_message_that_was_missed() -> None:
    # Works only with the default message id: a custom one is looked up in a cache keyed by the default.
    async with pair() as (first, second):
        await first.subscribe(TOPIC, accept)
        received = await second.subscribe(TOPIC, accept)
        await meshed([first, second])
        missed = signed(first, b"missed")
        first._router.mcache.put(missed)
        message_id = get_peer_and_seqno_msg_id(missed)
        have = rpc_pb2.ControlMessage(ihave=[rpc_pb2.ControlIHave(topicID=TOPIC, messageIDs=[message_id])])
        first._pubsub.peer_queues[second._libp2p.get_id()].push(rpc_pb2.RPC(control=have))
        assert first._pubsub._msg_id_constructor is get_peer_and_seqno_msg_id
        assert await collect(received, 1) == [b"missed"]


async def test_late_subscriber__gets_the_last_heartbeats_messages() -> None:
    async with pair() as (first, second):
        await first.subscribe(TOPIC, accept)
        await first.publish(TOPIC, b"before")
        received = await second.subscribe(TOPIC, accept)
        assert await collect(received, 1, 3.0) == [b"before"]


async def test_unknown_topics__are_not_remembered() -> None:
    async with pair() as (first, second):
        stream = await raw_gossip(second, first)
        prunes = [rpc_pb2.ControlPrune(topicID=f"t{number}", backoff=2**40) for number in range(500)]
        grafts = [rpc_pb2.ControlGraft(topicID=f"t{number}") for number in range(500)]
        haves = [rpc_pb2.ControlIHave(topicID=f"t{number}", messageIDs=[b"x" * 40]) for number in range(500)]
        control = rpc_pb2.ControlMessage(prune=prunes, graft=grafts, ihave=haves)
        await stream.write(rpc_bytes(rpc_pb2.RPC(control=control, publish=[signed(second, b"x", "unknown")])))
        await until(lambda: first.counters.get("gossip.dropped.unknown_topic"))
        router = first._router
        assert not router.back_off
        assert not any(router.ihave_message_limits.values())
        assert not any(router.graft_flood_tracking.values())


async def test_subscriptions__are_bounded_per_peer() -> None:
    async with pair() as (first, second):
        stream = await raw_gossip(second, first)
        subscriptions = [rpc_pb2.RPC.SubOpts(subscribe=True, topicid=f"t{number}") for number in range(1000)]
        await stream.write(rpc_bytes(rpc_pb2.RPC(subscriptions=subscriptions)))
        await until(lambda: first._pubsub.peer_topics)
        assert await works(first, second)
        assert len(first._pubsub.peer_topics) == 100


async def test_peer_exchange__dials_nobody() -> None:
    async with hosts(3) as (first, second, third):
        await second.dial(first.addresses[0])
        await first.subscribe(TOPIC, accept)
        stream = await raw_gossip(second, first)
        peer = rpc_pb2.PeerInfo(peerID=third._libp2p.get_id().to_bytes())
        control = rpc_pb2.ControlMessage(prune=[rpc_pb2.ControlPrune(topicID=TOPIC, peers=[peer])])
        await stream.write(rpc_bytes(rpc_pb2.RPC(control=control)))
        await until(lambda: first._router.back_off)
        assert await works(first, second)
        assert [info.public_key for info in first.peers()] == [second.public_key]


async def test_router__heuristics_are_off_and_memory_does_not_grow_per_message() -> None:
    async with pair() as (first, second):
        router = first._router
        assert router.get_protocols() == [PROTOCOL_ID_V11], "1.2 doubles the number of RPCs with IDONTWANT"
        assert not router.spam_protection_enabled
        assert not router.adaptive_gossip_enabled
        assert not router.eclipse_protection_enabled
        assert router.heartbeat_interval == 1.0
        assert router.degree_high >= first.limits.connections_max
        assert router.scorer is None
        await first.subscribe(TOPIC, accept)
        received = await second.subscribe(TOPIC, accept)
        await meshed([first, second])
        for number in range(200):  # twenty times what spam protection lets through in a second
            await first.publish(TOPIC, b"%d" % number)
        assert len(await collect(received, 200)) == 200
        assert not router.recent_message_deliveries
        assert not router.equivocation_detection
        assert not router.message_rate_limits
        assert not router._pending_messages
        assert not any(router.dont_send_message_ids.values())


async def test_flood__is_slowed_down_not_lost_and_others_are_served() -> None:
    limits = NetworkLimits(gossip_messages_per_s=100)
    async with pair(limits) as (first, second):
        await first.subscribe(TOPIC, accept)
        stream = await raw_gossip(second, first)
        message = signed(second, b"copy")
        with trio.move_on_after(5):
            for _ in range(4):
                await stream.write(rpc_bytes(rpc_pb2.RPC(publish=[message] * 150)))
            await until(lambda: first.counters.get("gossip.slowed"))
        assert first.counters["gossip.slowed"] >= 1
        assert await works(first, second)


async def test_gossip_streams__bounded_per_peer() -> None:
    async with pair() as (first, second):
        for _ in range(6):
            await raw_gossip(second, first)
        await until(lambda: first.counters.get("rejected.gossip_stream", 0) >= 3)
        assert await works(first, second)


async def test_subscribe__twice_is_refused() -> None:
    async with hosts(1) as (host,):
        await host.subscribe(TOPIC, accept)
        with pytest.raises(ValueError, match="already subscribed"):
            await host.subscribe(TOPIC, accept)


@pytest.mark.slow
async def test_seventeen_hosts__deliver_everything_through_several_heartbeats() -> None:
    # With D_high below the peer count: PRUNE without backoff, re-GRAFT taken for a flood, messages lost.
    async with hosts(17) as members:
        channels = [await member.subscribe(TOPIC, accept) for member in members]
        async with trio.open_nursery() as nursery:
            for index, member in enumerate(members):
                for other in members[:index]:
                    nursery.start_soon(member.dial, other.addresses[0])
        await meshed(members)
        sent = 0
        for _ in range(6):
            for member in members[:3]:
                await member.publish(TOPIC, b"%d" % sent)
                sent += 1
            await trio.sleep(1.0)
        for index, channel in enumerate(channels):
            own = 6 if index < 3 else 0
            assert len(await collect(channel, sent - own, 10)) == sent - own
        assert all(not member.counters.get("penalties") for member in members)
