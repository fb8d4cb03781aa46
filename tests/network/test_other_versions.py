"""Nodes of different versions: streams agree on a protocol, or say in words why they cannot."""

from __future__ import annotations

import pytest
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol

from node.network.dial_reason import speaks_no
from node.network.errors import RequestError
from node.network.host import Host
from node.network.requests import PROTOCOL
from protocol.versions import RPC_NAME, RPC_VERSION
from tests.network.peers import pair, raw_stream, works

pytestmark = [pytest.mark.anyio, pytest.mark.network]

NEXT = TProtocol(f"{RPC_NAME}/{RPC_VERSION + 1}")


async def refuse(stream: INetStream) -> None:
    """What the other version does on its streams is of no matter here."""
    await stream.reset()


def becomes_the_next_version(host: Host) -> None:
    """The same node, but its request protocol is of the next major version."""
    host._libp2p.remove_stream_handler(PROTOCOL)
    host._libp2p.set_stream_handler(NEXT, refuse)


async def test_protocol__is_a_name_and_a_major_version() -> None:
    assert PROTOCOL == "/deltamesh/rpc/1"


async def test_request_to_another_major_version__is_refused_in_words_and_harms_nobody() -> None:
    async with pair() as (first, second):
        becomes_the_next_version(second)
        with pytest.raises(RequestError) as refused:
            await first.request(second.public_key, "works", b"", timeout_s=5)
        assert f"does not speak {PROTOCOL}" in refused.value.reason
        assert "`deltamesh version`" in refused.value.reason
        # It is nobody's misbehaviour, and what else the two have in common goes on.
        assert first.penalty(second.public_key) == 0
        assert await works(first, second)


async def test_stream_of_an_unknown_major_version__is_refused_and_the_connection_lives() -> None:
    async with pair() as (first, second):
        with pytest.raises(Exception, match="failed to open a stream") as refused:
            await raw_stream(second, first, NEXT)
        assert speaks_no(NEXT, refused.value)
        assert not speaks_no(PROTOCOL, refused.value)
        assert first.penalty(second.public_key) == 0
        assert await works(first, second)
