"""Receive windows handed out of one budget, so that fast streams cannot add up to unbounded memory."""

from __future__ import annotations

from node.network.limits import NetworkLimits, Share, full_share


class WindowBudget:
    """Bytes of receive window one host has promised, in total and per peer."""

    def __init__(self, limits: NetworkLimits, share: Share = full_share) -> None:
        self._limits = limits
        self._share = share
        self._total = 0
        self._by_peer: dict[bytes, int] = {}

    @property
    def granted_bytes(self) -> int:
        """Bytes promised to all peers at this moment."""
        return self._total

    def grant(self, peer: bytes) -> int:
        """Take a window for one stream of `peer`: the full size, or half of what is left, never more."""
        used = self._by_peer.get(peer, 0)
        most = int(self._limits.window_bytes_per_peer_max * self._share(peer))
        left = min(most - used, self._limits.window_bytes_total_max - self._total)
        size = max(0, min(self._limits.window_bytes, left // 2))
        if size:
            self._by_peer[peer] = used + size
            self._total += size
        return size

    def release(self, peer: bytes, size_bytes: int) -> None:
        """Give back what `grant` returned."""
        if not size_bytes:
            return
        self._total -= size_bytes
        left = self._by_peer.get(peer, 0) - size_bytes
        if left > 0:
            self._by_peer[peer] = left
        else:
            self._by_peer.pop(peer, None)
