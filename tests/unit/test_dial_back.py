"""What a peer says of the ports of a machine that asks: nothing that a scan of them would be after."""

from __future__ import annotations

import math
from typing import cast

import trio
import trio.testing

from node.dial_back import TRY_S, DialBack, Reached, question, reached_by
from node.keys import peer_id
from node.network.host import Host, PeerInfo

ASKER, KEY = b"asker", bytes(range(32))
PORT = 8_080


class Dialling:
    """A host beside a tunnel's end: whoever comes through it is seen at its own loopback address."""

    def __init__(self, refused_after_s: float) -> None:
        self._refused_after_s = refused_after_s

    def peers(self) -> tuple[PeerInfo, ...]:
        return (PeerInfo(ASKER, "/ip4/127.0.0.1/tcp/40000", False, 0),)

    async def proves(self, address: str) -> bool:
        assert address == f"/ip4/127.0.0.1/tcp/{PORT}/p2p/{peer_id(KEY)}"
        await trio.sleep(self._refused_after_s)
        return False


def test_port__that_is_closed_another_programs_or_deaf_is_answered_alike() -> None:
    async def took_s(refused_after_s: float) -> float:
        began_s = trio.current_time()
        back = DialBack(cast(Host, Dialling(refused_after_s)))
        assert reached_by(await back.answer(ASKER, question(PORT, KEY))) is Reached.NO
        return trio.current_time() - began_s

    for refused_after_s in (0.0, 0.2, math.inf):
        clock = trio.testing.MockClock(autojump_threshold=0)
        assert abs(trio.run(took_s, refused_after_s, clock=clock) - TRY_S) < 1e-6
