"""Trying, for a peer that asks, whether a node can be connected to from here, which it cannot see itself."""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum

import trio

from node.keys import peer_id
from node.network.errors import RequestRefused
from node.network.host import Host

METHOD = "dial_back"
PORT_BYTES = 2
QUESTION_BYTES = PORT_BYTES + 32
ANSWER_BYTES = 1
PORT_MIN = 1_024
"""The system's own ports are nobody's node: nothing is to be learnt about them through us."""
TRIES_AT_ONCE = 4
TRY_S = 3.0
"""What every NO takes, however soon it was known."""
AGAIN_AFTER_S = 5.0
"""Between two tries of one machine's ports."""
ASKERS_MAX = 1_024
"""Machines remembered, the oldest forgotten first."""


class Reached(Enum):
    """What came of connecting back; the value is the byte that says so."""

    YES = b"\x01"
    NO = b"\x00"


class DialBack:
    """Looks for a key's node at a port of the very machine that asks, at the address it is seen at.

    No other address can be named, so nobody can have somebody else dialled. Who is seen at an address may
    share it with others, or stand in front of us (a proxy, a tunnel, the gateway of containers): so nothing
    but a node that proves the key is told of, not even by the time a port without one takes to refuse. A
    machine is tried every AGAIN_AFTER_S at most.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._tried_s: OrderedDict[str, float] = OrderedDict()
        self._trying = 0

    async def answer(self, peer: bytes, payload: bytes) -> bytes:
        """Whether a key's node is behind a port; see `question`. Raises RequestRefused."""
        port, key = int.from_bytes(payload[:PORT_BYTES], "big"), payload[PORT_BYTES:]
        if len(payload) != QUESTION_BYTES or port < PORT_MIN:
            raise RequestRefused("that is no port to dial back to, and the key expected there")
        seen_at = next((info.address for info in self._host.peers() if info.public_key == peer), "")
        _, kind, machine, *_ = (*seen_at.split("/"), "", "", "")
        if kind not in ("ip4", "ip6"):
            raise RequestRefused("it is not known from where you are connected")
        try:
            address = f"/{kind}/{machine}/tcp/{port}/p2p/{peer_id(key)}"
        except ValueError:
            raise RequestRefused("that is no key") from None
        self._take_turn(machine)
        self._trying += 1
        try:
            return (await self._reached(address)).value
        finally:
            self._trying -= 1

    async def _reached(self, address: str) -> Reached:
        began_s = trio.current_time()
        with trio.move_on_after(TRY_S):
            if await self._host.proves(address):
                return Reached.YES
        await trio.sleep_until(began_s + TRY_S)
        return Reached.NO

    def _take_turn(self, machine: str) -> None:
        now_s = trio.current_time()
        last_s = self._tried_s.get(machine)
        if self._trying >= TRIES_AT_ONCE or (last_s is not None and now_s - last_s < AGAIN_AFTER_S):
            raise RequestRefused("too many ask: try again in some seconds")
        self._tried_s[machine] = now_s
        self._tried_s.move_to_end(machine)
        while len(self._tried_s) > ASKERS_MAX:
            self._tried_s.popitem(last=False)


def question(port: int, key: bytes) -> bytes:
    """What to ask: the port, two bytes big-endian, and the key whose node is to be there."""
    return port.to_bytes(PORT_BYTES, "big") + key


def reached_by(answer: bytes) -> Reached | None:
    """What an answer says, None where it says nothing."""
    return next((one for one in Reached if one.value == answer), None)
