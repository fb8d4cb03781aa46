"""The head of an answer and its body leave in one piece, in order, and are lost in no way of closing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from node.api.guard.limits import Limits
from node.api.guard.lingering import LingeringTransport


class Inner(asyncio.Transport):
    """Notes what the system would be given."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        self.done.append(bytes(data))

    def close(self) -> None:
        self.closed = True
        self.done.append(b"closed")

    def write_eof(self) -> None:
        self.done.append(b"end")

    def can_write_eof(self) -> bool:
        return True

    def resume_reading(self) -> None:
        """As the event loop's."""

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0


def written(write: Callable[[LingeringTransport], None], is_partial: bool = False) -> list[bytes]:
    """What reached the system until the loop had run what was ready."""

    async def run() -> list[bytes]:
        inner = Inner()
        limits = Limits(write_s=0.001, linger_s=0.001)
        write(LingeringTransport(inner, asyncio.get_running_loop(), limits, lambda: is_partial))
        await asyncio.sleep(0)
        return inner.done

    return asyncio.run(run())


def answer(transport: LingeringTransport) -> None:
    """As the server writes it."""
    transport.write(b"head ")
    transport.write(b"body")


def test_answer__is_one_write() -> None:
    assert written(answer) == [b"head body"]


def test_head__whose_body_comes_later_does_not_wait_for_it() -> None:
    assert written(lambda transport: transport.write(b"head")) == [b"head"]


def test_stream__is_written_in_order_and_no_more_than_a_chunk_is_held() -> None:
    def stream(transport: LingeringTransport) -> None:
        for n in range(5):
            transport.write(b"%d" % n)
            assert transport.get_write_buffer_size() == (n + 1) % 2

    assert written(stream) == [b"01", b"23", b"4"]


def test_writer__may_use_its_buffer_again() -> None:
    def write(transport: LingeringTransport) -> None:
        buffer = bytearray(b"head")
        transport.write(buffer)
        buffer[:] = b"else"

    assert written(write) == [b"head"]


@pytest.mark.parametrize(("is_partial", "last"), [(False, b"closed"), (True, b"end")])
def test_answer__is_written_before_the_connection_closes(is_partial: bool, last: bytes) -> None:
    def refuse(transport: LingeringTransport) -> None:
        transport.write(b"refused")
        transport.close()
        transport.write(b"late")

    assert written(refuse, is_partial) == [b"refused", last]


def test_answer__of_a_connection_that_is_cut_is_dropped() -> None:
    def cut(transport: LingeringTransport) -> None:
        transport.write(b"head")
        transport.abort()

    assert written(cut) == []
