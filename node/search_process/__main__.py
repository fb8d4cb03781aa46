"""The search process: `python -m node.search_process`, spoken to over its standard input and output."""

from __future__ import annotations

import os
from typing import BinaryIO, Final

import msgspec

from node.memory import give_back_free_memory
from node.pipe_frames import own_pipes, read_frame, write_frame
from node.priority import give_way, interrupt_nobody, leave_session
from node.search_process.desk import SearchDesk
from node.search_process.wire import Request, Response, SearchSetup

NICENESS: Final = 5
"""A round goes before a search."""


def main() -> None:
    """Open the files, then answer requests until the node closes the pipe."""
    source, sink = own_pipes()
    leave_session()
    os.nice(NICENESS)
    interrupt_nobody()
    give_way()
    give_back_free_memory()
    first = read_frame(source)
    if first is None:
        return
    try:
        desk = SearchDesk(msgspec.msgpack.decode(first, type=SearchSetup))
    except Exception as error:  # the node must hear of it, whatever it is
        _write(sink, Response(error=_told(error)))
        return
    _write(sink, Response())
    while (frame := read_frame(source)) is not None:
        _write(sink, _answer(desk, frame))
    desk.close()


def _answer(desk: SearchDesk, frame: bytes) -> Response:
    try:
        return desk.answer(msgspec.msgpack.decode(frame, type=Request))
    except Exception as error:  # the next request may fare better
        return Response(error=_told(error))


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:2_000]


def _write(sink: BinaryIO, response: Response) -> None:
    write_frame(sink, msgspec.msgpack.encode(response))


if __name__ == "__main__":
    main()
