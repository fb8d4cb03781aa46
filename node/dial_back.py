"""Trying, for a peer that asks, whether it can be connected to from here: the other end of a router tells."""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum

import trio

from node.network.errors import RequestRefused
from node.network.host import Host

METHOD = "dial_back"
PORT_BYTES = 2
ANSWER_BYTES = 1
PORT_MIN = 1_024
"""The system's own ports are nobody's node: nothing is to be learnt about them through us."""
TRIES_AT_ONCE = 4
TRY_S = 3.0
AGAIN_AFTER_S = 5.0
"""Between two tries of one machine's ports."""
ASKERS_MAX = 1_024
"""Machines remembered, the oldest forgotten first."""


class Reached(Enum):
    """What came of connecting back; the value is the byte that says so."""

    YES = b"\x01"
    NO = b"\x00"


class DialBack:
    """Connects to a port of the very machine that asks, at the address it is seen at, and hangs up.

    No other address can be named, so nobody can have somebody else dialled; a machine is tried every
    AGAIN_AFTER_S at most.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._tried_s: OrderedDict[str, float] = OrderedDict()
        self._trying = 0

    async def answer(self, peer: bytes, payload: bytes) -> bytes:
        """Whether a port, two bytes big-endian, can be connected to. Raises RequestRefused."""
        port = int.from_bytes(payload, "big")
        if len(payload) != PORT_BYTES or port < PORT_MIN:
            raise RequestRefused("that is no port to dial back to")
        seen_at = next((info.address for info in self._host.peers() if info.public_key == peer), "")
        _, kind, machine, *_ = (*seen_at.split("/"), "", "", "")
        if kind not in ("ip4", "ip6"):
            raise RequestRefused("it is not known from where you are connected")
        self._take_turn(machine)
        self._trying += 1
        try:
            return (await _reached(machine, port)).value
        finally:
            self._trying -= 1

    def _take_turn(self, machine: str) -> None:
        now_s = trio.current_time()
        last_s = self._tried_s.get(machine)
        if self._trying >= TRIES_AT_ONCE or (last_s is not None and now_s - last_s < AGAIN_AFTER_S):
            raise RequestRefused("too many ask: try again in some seconds")
        self._tried_s[machine] = now_s
        self._tried_s.move_to_end(machine)
        while len(self._tried_s) > ASKERS_MAX:
            self._tried_s.popitem(last=False)


def reached_by(answer: bytes) -> Reached | None:
    """What an answer says, None where it says nothing."""
    return next((one for one in Reached if one.value == answer), None)


async def _reached(machine: str, port: int) -> Reached:
    with trio.move_on_after(TRY_S):
        try:
            stream = await trio.open_tcp_stream(machine, port)
        except OSError:
            return Reached.NO
        await stream.aclose()
        return Reached.YES
    return Reached.NO
