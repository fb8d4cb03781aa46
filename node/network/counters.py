"""Named counters of one host, bounded in number."""

from __future__ import annotations

from collections import OrderedDict

NAMES_MAX = 512
OVERFLOW = "other"
PEERS_COUNTED_MAX = 4096


class Counters(dict[str, int]):
    """A plain dict of name -> count that never holds more than `NAMES_MAX` names; the rest go to `other`."""

    def __init__(self) -> None:
        super().__init__()
        self._received: OrderedDict[bytes, int] = OrderedDict()

    def add(self, name: str, amount: int = 1) -> None:
        """Count `amount` more of `name`."""
        if name not in self and len(self) >= NAMES_MAX:
            name = OVERFLOW
        self[name] = self.get(name, 0) + amount

    def add_received(self, peer: bytes, size_bytes: int) -> None:
        """Count bytes received from a peer; of more than PEERS_COUNTED_MAX peers the longest silent go."""
        self._received[peer] = self._received.get(peer, 0) + size_bytes
        self._received.move_to_end(peer)
        if len(self._received) > PEERS_COUNTED_MAX:
            self._received.popitem(last=False)

    def received(self, peer: bytes) -> int:
        """Bytes received from a peer on all streams of all its connections, as yamux frames carry them."""
        return self._received.get(peer, 0)
