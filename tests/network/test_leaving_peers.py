"""What a host holds of peers that have come and gone: no table an entry of each, the library's included."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pytest
import trio

from node.network.host import Host, open_host
from tests.network.peers import LOOPBACK, TOPIC, accept, seed, until, works

pytestmark = pytest.mark.network

BEFORE = 2
VISITORS = 6
BOUNDED = {"_received"}
"""Tables that keep who has gone, up to a bound that has a test of its own: bytes counted of each peer."""


def test_table_sizes__finds_tables_in_objects_in_tables() -> None:
    class Held:
        def __init__(self) -> None:
            self.names = {"a": [1, 2], "b": [3]}

    Held.__module__ = "node.held"
    assert table_sizes(Held()) == {"names": 2, "names[]": 3}


def table_sizes(root: object) -> Counter[str]:
    """Entries of the tables that objects of ours and the library's reach, by the attributes on the way."""
    found: Counter[str] = Counter()
    seen: set[int] = set()
    waiting = deque([("", root)])
    while waiting:
        path, one = waiting.popleft()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, Mapping | list | tuple | set | deque):
            found[path] += len(one)
            waiting += ((f"{path}[]", value) for value in _entries(one))
        elif type(one).__module__.split(".")[0] in ("libp2p", "node"):
            waiting += ((f"{path}.{name}".lstrip("."), value) for name, value in _attributes(one))
    return found


def _entries(table: Any) -> Iterator[object]:
    if isinstance(table, Mapping):
        yield from tuple(table)
        yield from tuple(table.values())
    else:
        yield from tuple(table)


def _attributes(one: object) -> Iterator[tuple[str, object]]:
    yield from tuple(getattr(one, "__dict__", {}).items())
    for kind in type(one).__mro__:
        names = kind.__dict__.get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            if hasattr(one, name):
                yield name, getattr(one, name)


def heard_more(host: Host, than: int) -> bool:
    """Whether more messages than so many were judged, those included that others had brought before."""
    return host.counters.get("gossip.delivered", 0) + host.counters.get("gossip.dropped.repeated", 0) > than


async def visited(host: Host, first: int, count: int) -> None:
    """So many peers come, talk, subscribe, gossip and go, one after the other."""
    for number in range(first, first + count):
        async with open_host(seed(100 + number), []) as visitor:
            await visitor.subscribe(TOPIC, accept)
            await visitor.dial(host.addresses[0])
            assert await works(host, visitor)
            await until(lambda: any(host._pubsub.peer_topics.values()))
            await until(lambda: any(visitor._pubsub.peer_topics.values()))
            # The same from each: a message's id is remembered for a while, whoever sent it.
            await visitor.publish(TOPIC, b"hello")
            await until(partial(heard_more, host, number))
        await until(lambda: not host.peers() and not host._since_s)


@pytest.mark.anyio
async def test_host__keeps_nothing_of_each_peer_that_has_gone() -> None:
    async with open_host(seed(1), LOOPBACK) as host:
        await host.subscribe(TOPIC, accept)
        await visited(host, 0, BEFORE)
        await until(lambda: not host._pubsub.peers)
        tasks, before = trio.lowlevel.current_statistics().tasks_living, table_sizes(host)
        assert "_swarm.peerstore.peer_data_map" in before
        assert "_pubsub.peer_queues" in before
        assert "_router.mesh" in before
        await visited(host, BEFORE, VISITORS)
        await until(lambda: trio.lowlevel.current_statistics().tasks_living <= tasks)
        after = table_sizes(host)
        grown = {path: after[path] - before[path] for path in after if after[path] - before[path] >= VISITORS}
        assert not {path: by for path, by in grown.items() if not BOUNDED & set(path.split("."))}
