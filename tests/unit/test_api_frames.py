"""What a listener is sent: all that is queued in one piece, a comment in silence, nothing at the end."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from node.api.events import COMMENT
from tests.support.publishing import PublishingHub


@settings(max_examples=30)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_frames__are_every_event_once_and_in_order(bursts: list[int]) -> None:
    async def scenario() -> bytes:
        hub, got = PublishingHub(), b""
        hub.attach(asyncio.get_running_loop())
        async with hub.subscribe() as listener:
            for burst in bursts:
                for _ in range(burst):
                    hub.publish("status", {"burst": burst})
                await asyncio.sleep(0)
                got += await listener.frames(60.0)
        return got

    told = asyncio.run(scenario())
    numbers = [int(line[4:]) for line in told.split(b"\n") if line.startswith(b"id: ")]
    assert numbers == list(range(numbers[0], numbers[0] + sum(bursts)))


def test_frames__are_a_comment_in_silence_and_nothing_at_the_end() -> None:
    async def scenario() -> list[bytes]:
        hub = PublishingHub()
        hub.attach(asyncio.get_running_loop())
        async with hub.subscribe() as listener:
            silent = [await listener.frames(0.0), await listener.frames(0.0)]
            hub.publish("status", {})
            hub.close()
            await asyncio.sleep(0.01)
            heard = await listener.frames(60.0)
            assert b"event: status" in heard
            return [*silent, await listener.frames(60.0)]

    assert asyncio.run(scenario()) == [COMMENT, COMMENT, b""]


SILENCE_S = 0.1


def test_frames__silence_is_counted_from_what_was_told_last() -> None:
    async def scenario() -> None:
        hub, loop = PublishingHub(), asyncio.get_running_loop()
        hub.attach(loop)
        async with hub.subscribe() as listener:
            loop.call_later(SILENCE_S / 2, hub.publish, "status", {})
            assert b"event: status" in await listener.frames(SILENCE_S)
            told_s = loop.time()
            assert await listener.frames(SILENCE_S) == COMMENT
            assert loop.time() - told_s >= SILENCE_S
            assert listener._silence is None
            hub.publish("status", {})
            await listener.frames(SILENCE_S)
            timer = listener._silence
        assert timer is not None
        assert timer.cancelled()

    asyncio.run(scenario())
