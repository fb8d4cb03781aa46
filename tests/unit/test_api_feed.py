"""What the node tells its API: in order, once, in bounded memory, and what is lost is counted and told."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from node.api.events import Event, EventHub, Kind
from node.api_process.client import _Words
from node.api_process.feed import Feed, Reader
from node.api_process.wire import (
    EVENT_BYTES_MAX,
    EVENTS_A_FRAME,
    FRAME_BYTES_MAX,
    KEPT_EVENTS,
    Measured,
    Said,
    Setup,
    Tidings,
    Told,
    Word,
    told,
)
from node.network.counters import Counters
from node.pipe_frames import PREFIX
from protocol.codec import CodecError, decode, encode
from tests.support.api import status_of
from tests.support.certified_history import certified_history

pytestmark = pytest.mark.anyio

MEASURED = Measured(b"deltamesh_x 1\n", (("driver", 1, 8),), 5, 0)


def feed_of(counters: Counters | None = None) -> Feed:
    return Feed(lambda: MEASURED, Counters() if counters is None else counters)


def begun(feed: Feed) -> tuple[Reader, Setup]:
    reader = Reader(feed)
    return reader, reader.setup(b"{}", b"genesis", 1, 2)


def all_of(reader: Reader) -> list[Told]:
    found: list[Told] = []
    while (tidings := reader.next()) is not None:
        assert len(tidings.events) <= EVENTS_A_FRAME
        found += tidings.events
    return found


@settings(max_examples=40)
@given(st.lists(st.integers(0, 2 * EVENTS_A_FRAME), max_size=8), st.integers(0, 300))
def test_reader__gets_every_event_once_and_in_order(bursts: list[int], before: int) -> None:
    counters = Counters()
    feed = feed_of(counters)
    for n in range(before):
        feed.publish("step", {"n": n})
    reader, setup = begun(feed)
    got, count = list(setup.first.events), before
    for burst in bursts:
        for _ in range(burst):
            feed.publish("step", {"n": count})
            count += 1
        got += all_of(reader)
    assert [event.text for event in got] == [b'{"n":%d}' % n for n in range(count)]
    assert [event.id for event in got] == list(range(setup.last_id + 1, setup.last_id + 1 + count))
    assert not counters


@settings(max_examples=40)
@given(st.integers(0, 3 * KEPT_EVENTS))
def test_reader__that_reads_nothing_costs_bounded_memory_and_its_losses_are_counted(published: int) -> None:
    counters = Counters()
    feed = feed_of(counters)
    reader, setup = begun(feed)
    for n in range(published):
        feed.publish("step", {"n": n})
    got = all_of(reader)
    lost = max(0, published - KEPT_EVENTS)
    assert [event.id for event in got] == list(range(setup.last_id + 1 + lost, setup.last_id + 1 + published))
    assert counters.get("api.events_lost", 0) == lost


def test_status__is_the_newest_alone_and_comes_with_what_is_measured() -> None:
    feed = feed_of()
    reader, setup = begun(feed)
    assert setup.first == Tidings((), None, MEASURED)
    for round_ in range(5):
        feed.tell(status_of(certified_history(), round=round_))
    tidings = reader.next()
    assert tidings is not None
    assert tidings.status is not None
    assert (tidings.status.round, tidings.measured) == (4, MEASURED)
    assert reader.next() is None
    assert begun(feed)[1].first.status == tidings.status, "for a process that begins later"


def test_event__too_large_or_no_json_is_left_out_and_the_rest_is_told() -> None:
    feed = feed_of()
    reader, _ = begun(feed)
    feed.publish("step", {"n": 0})
    feed.publish("step", {"detail": "x" * EVENT_BYTES_MAX})
    feed.publish("step", {"detail": object()})
    feed.publish("step", {"n": 1})
    first, second = all_of(reader)
    assert (second.id, second.text) == (first.id + 1, b'{"n":1}')


async def test_news__come_from_any_thread_and_wake_whoever_waits() -> None:
    feed = feed_of()
    reader, _ = begun(feed)
    got: list[Told] = []
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            for start in range(0, 400, 100):
                nursery.start_soon(trio.to_thread.run_sync, _publish, feed, start)
            while len(got) < 400:
                got += all_of(reader)
                if len(got) < 400:
                    await feed.news()
    ids = [event.id for event in got]
    assert ids == list(range(ids[0], ids[0] + 400))


def _publish(feed: Feed, start: int) -> None:
    for n in range(start, start + 100):
        feed.publish("step", {"n": n})


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from(list(Kind)), st.dictionaries(st.text(), st.text(), max_size=2)), max_size=5
    )
)
def test_frames__say_again_what_was_put_into_them(events: Sequence[tuple[str, dict[str, str]]]) -> None:
    status = status_of(certified_history(), counters={"b": 1, "a": 2})
    tidings = Tidings(tuple(told(n, *event) for n, event in enumerate(events)), status, MEASURED)
    setup = Setup(b"{}", b"genesis", 1, 2, 7, tidings)
    for frame in (tidings, setup):
        assert decode(encode(frame), type(frame), size_bytes_max=FRAME_BYTES_MAX) == frame


# -- words of the process ------------------------------------------------------------------------------------


class Pipe:
    """A pipe that gives its bytes in pieces, then closes or stays silent."""

    def __init__(self, data: bytes, piece: int, closes: bool = True) -> None:
        self._pieces = [data[at : at + piece] for at in range(0, len(data), piece)]
        self._closes = closes

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        if not self._pieces and not self._closes:
            await trio.sleep_forever()
        return self._pieces.pop(0) if self._pieces else b""


def framed(word: Word) -> bytes:
    frame = encode(Said(word))
    return PREFIX.pack(len(frame)) + frame


async def heard(data: bytes, piece: int = 1 << 16) -> list[Word]:
    words, found = _Words(Pipe(data, piece)), []  # type: ignore[arg-type]
    while (word := await words.next(10.0)) is not None:
        found.append(word)
    return found


@settings(max_examples=40)
@given(st.lists(st.sampled_from(list(Word)), max_size=6), st.integers(1, 20))
def test_words__are_heard_however_the_pipe_cuts_them(said: list[Word], piece: int) -> None:
    assert trio.run(heard, b"".join(map(framed, said)), piece) == said


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">Q", 1 << 40),
        PREFIX.pack(3) + b"abc",
        PREFIX.pack(0),
        PREFIX.pack(len(encode(["shout"]))) + encode(["shout"]),
    ],
)
async def test_words__that_nobody_understands_are_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        await heard(framed(Word.READY) + data)


@settings(max_examples=40)
@given(st.binary(max_size=100))
def test_words__of_any_bytes_are_words_or_refused(data: bytes) -> None:
    try:
        assert set(trio.run(heard, data)) <= set(Word)
    except CodecError:
        return


async def test_silence__is_told_from_the_end() -> None:
    silent = _Words(Pipe(framed(Word.READY), 5, closes=False))  # type: ignore[arg-type]
    assert await silent.next(10.0) is Word.READY
    with pytest.raises(TimeoutError):
        await silent.next(0.01)


# -- gaps at the API's end -----------------------------------------------------------------------------------


def test_listener__hears_that_events_were_lost_on_the_way() -> None:
    async def scenario() -> tuple[list[Event | None], list[Event | None]]:
        hub = EventHub(10)
        hub.attach(asyncio.get_running_loop())
        async with hub.subscribe() as listener, hub.subscribe(kinds=("certified",)) as narrow:
            hub.take([told(11, "step", {"n": 11}), told(20, "certified", {"n": 20})])
            async with hub.subscribe(11) as late:
                return [await listener.next() for _ in range(3)], [
                    await narrow.next(),
                    await narrow.next(),
                    await late.next(),
                    await late.next(),
                ]

    wide, others = asyncio.run(asyncio.wait_for(scenario(), 10))
    assert [(one.id, one.kind) for one in wide if one] == [(11, "step"), (19, "missed"), (20, "certified")]
    assert [(one.id, one.kind) for one in others if one] == [(19, "missed"), (20, "certified")] * 2
    assert wide[1] is not None
    assert wide[1].data == {"after": 11, "oldest": 20}
