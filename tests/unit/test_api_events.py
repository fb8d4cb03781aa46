"""Events: every listener hears the newest in order, whoever is slow or comes back is told what it missed."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable

from hypothesis import given
from hypothesis import strategies as st

from node.api.events import LISTENER_EVENTS_MAX, Event, Kind
from node.api_process.wire import KEPT_EVENTS
from tests.support.publishing import PublishingHub


def run(scenario: Callable[[PublishingHub], Awaitable[None]]) -> None:
    """A scenario on a loop of its own."""

    async def on_loop() -> None:
        hub = PublishingHub()
        hub.attach(asyncio.get_running_loop())
        await asyncio.wait_for(scenario(hub), 10)

    asyncio.run(on_loop())


async def heard(hub: PublishingHub, count: int, last_id: int | None = None) -> list[Event]:
    """The first events of a new listener."""
    async with hub.subscribe(last_id) as listener:
        return [event for _ in range(count) if (event := await listener.next()) is not None]


def numbered(events: list[Event]) -> list[object]:
    return [event.data.get("n") for event in events]


def test_listener__hears_in_order_what_other_threads_publish() -> None:
    async def scenario(hub: PublishingHub) -> None:
        def publish() -> None:
            for n in range(500):
                hub.publish("step", {"n": n})

        async with hub.subscribe() as listener:
            thread = threading.Thread(target=publish)
            thread.start()
            events = [await listener.next() for _ in range(500)]
            thread.join()
        assert numbered([event for event in events if event]) == list(range(500))
        ids = [event.id for event in events if event]
        assert ids == sorted(set(ids))

    run(scenario)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 80))
def test_listener__coming_back_hears_each_event_once(before: int, after: int, known: int) -> None:
    async def scenario(hub: PublishingHub) -> None:
        first = hub._last
        for n in range(before):
            hub.publish("step", {"n": n})
        # Not delivered yet: what is kept and what is under way must not come twice.
        seen = min(known, before)
        wanted = before - seen + after
        async with hub.subscribe(first + seen) as listener:
            for n in range(after):
                hub.publish("step", {"n": before + n})
            events = [await listener.next() for _ in range(wanted)]
            await asyncio.sleep(0)
            assert numbered([event for event in events if event]) == list(range(seen, before + after))
            assert not listener._waiting

    run(scenario)


def test_listener__that_missed_what_is_no_longer_kept_is_told() -> None:
    async def scenario(hub: PublishingHub) -> None:
        old = hub._last
        for n in range(KEPT_EVENTS + 5):
            hub.publish("step", {"n": n})
        await asyncio.sleep(0.01)
        missed, oldest = await heard(hub, 2, old)
        assert (missed.kind, oldest.data["n"]) == (Kind.MISSED, 5)
        # A number from before a restart, or from another node.
        (of_another,) = await heard(hub, 1, hub._last + 1_000)
        assert of_another.kind == Kind.MISSED

    run(scenario)


def test_listener__that_does_not_read_is_cut_off_and_the_others_are_not() -> None:
    async def scenario(hub: PublishingHub) -> None:
        async with hub.subscribe() as slow, hub.subscribe() as quick:
            for n in range(LISTENER_EVENTS_MAX + 10):
                hub.publish("step", {"n": n})
                if n % 100 == 99:
                    await asyncio.sleep(0)
                    while quick._waiting:
                        assert await quick.next() is not None
            await asyncio.sleep(0)
            queued = 0
            while await slow.next() is not None:
                queued += 1
            assert queued == LISTENER_EVENTS_MAX
            hub.publish("step", {"n": -1})
            rest = []
            while not rest or rest[-1] != -1:
                event = await quick.next()
                assert event is not None
                rest.append(event.data["n"])
            assert rest[-2] == LISTENER_EVENTS_MAX + 9

    run(scenario)


def test_listener__hears_only_the_kinds_it_asked_for() -> None:
    async def scenario(hub: PublishingHub) -> None:
        async with hub.subscribe(kinds=("certified",)) as listener:
            hub.publish("step", {"n": 1})
            hub.publish("certified", {"n": 2})
            event = await listener.next()
        assert event is not None
        assert event.data["n"] == 2

    run(scenario)


def test_close__ends_every_listener_after_what_it_has_queued() -> None:
    async def scenario(hub: PublishingHub) -> None:
        async with hub.subscribe() as listener:
            hub.publish("step", {"n": 1})
            threading.Thread(target=hub.close).start()
            assert numbered([event async for event in listener]) == [1]
        assert hub.listeners == 0
        async with hub.subscribe() as late:
            assert await late.next() is None

    run(scenario)


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.integers(-(2**53), 2**53), max_size=4))
def test_frame__is_one_data_line_whatever_is_told(data: dict[str, str | int]) -> None:
    hub = PublishingHub()
    hub.publish("step", data)
    lines = hub._kept[0].frame.split(b"\n")
    assert [line.split(b":")[0] for line in lines] == [b"id", b"event", b"data", b"", b""]
    assert json.loads(lines[2].removeprefix(b"data: ")) == data


def test_publish__after_the_loop_has_ended_is_harmless() -> None:
    hub = PublishingHub()
    loop = asyncio.new_event_loop()
    hub.attach(loop)
    loop.close()
    hub.publish("step", {"n": 1})
    hub.close()
    assert [event.data["n"] for event in hub._kept] == [1]
