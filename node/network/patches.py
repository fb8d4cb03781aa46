"""Knobs of py-libp2p 0.8.1 without a constructor argument, set once per process before the first host opens.

Each line below is here because of a measured fault; `tests/network/test_workarounds.py` fails when one is
taken out.
"""

from __future__ import annotations

import logging
import os
from typing import Any

import libp2p.network.swarm as swarm_module
import libp2p.protocol_muxer.multiselect_communicator as communicator_module
import libp2p.transport.tcp.tcp as tcp_module
import trio
from libp2p.exceptions import ParseError
from libp2p.io.abc import Reader
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.io.trio import TrioTCPStream
from libp2p.utils.varint import read_varint_prefixed_bytes_limited

NEGOTIATION_BYTES_MAX = 1024
_READ_AHEAD_BYTES = 256 * 1024
_applied: list[bool] = []


async def _read_delim(reader: Reader) -> bytes:
    """One line of multistream-select. Raises ParseError when malformed, or longer than any protocol name."""
    line = await read_varint_prefixed_bytes_limited(reader, NEGOTIATION_BYTES_MAX)
    if line[-1:] != b"\n":
        raise ParseError("negotiation line does not end in a newline")
    try:
        line.decode()
    except UnicodeDecodeError as error:
        raise ParseError("negotiation line is not text") from error
    return line[:-1]


def _init_tcp_stream(original: Any) -> Any:
    def init(self: TrioTCPStream, stream: trio.SocketStream) -> None:
        original(self, stream)
        self._read_ahead = bytearray()  # type: ignore[attr-defined]

    return init


async def _read_tcp_stream(self: TrioTCPStream, n: int | None = None) -> bytes:
    """Read up to `n` bytes out of what one large receive brought in; b"" at the end."""
    async with self.read_lock:
        if n == 0:
            return b""
        ahead: bytearray = self._read_ahead  # type: ignore[attr-defined]
        if not ahead:
            try:
                data = await self.stream.receive_some(_READ_AHEAD_BYTES)
            except trio.BrokenResourceError as error:
                raise ConnectionClosedError(f"TCP connection reset: {error}", transport="tcp") from error
            except trio.ClosedResourceError:
                return b""
            if n is None or len(data) <= n:
                return bytes(data)
            ahead += data
        size = len(ahead) if n is None else min(n, len(ahead))
        result = bytes(ahead[:size])
        del ahead[:size]
        return result


def _set_reuse_address(sock: trio.socket.SocketType) -> None:
    sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_REUSEADDR, 1)


def apply() -> None:
    """Set every knob; the second and later calls do nothing."""
    if _applied:
        return
    _applied.append(True)

    # Every dial through `dial_peer` waits a 250 ms head start even when there is one address only (251 -> 41
    # ms).
    swarm_module._HAPPY_EYEBALLS_DELAY = 0.0

    # Negotiation reads a length-prefixed line of any length, before the peer is even authenticated: a prefix
    # of 2^62 asks the kernel for a buffer of that size. No protocol name is longer than a kilobyte.
    communicator_module.read_delim = _read_delim  # type: ignore[attr-defined]

    # Noise reads a 2-byte length and then the body, yamux 12 bytes and then a payload: two system calls each.
    # One large receive into a buffer serves them all (1.28x at 12 KB), and bounds what one receive can
    # allocate.
    TrioTCPStream.__init__ = _init_tcp_stream(TrioTCPStream.__init__)  # type: ignore[method-assign]
    TrioTCPStream.read = _read_tcp_stream  # type: ignore[method-assign]

    # Listening sockets share their port (SO_REUSEPORT, for hole punching): a second process on the same port
    # starts without an error, and the kernel deals connections to either.
    tcp_module._set_reuse_flags = _set_reuse_address

    # Peers can trigger the library's warnings and errors at will, tracebacks included: disk and CPU for free.
    # What matters is counted by us; whoever wants the rest sets LIBP2P_DEBUG, as the library documents.
    if not os.environ.get("LIBP2P_DEBUG"):
        logging.getLogger("libp2p").setLevel(logging.CRITICAL)
    # It also logs through the bare `logging.debug`, which installs a handler on stderr when there is none.
    if not logging.getLogger().handlers:
        logging.getLogger().addHandler(logging.NullHandler())
