"""What this node holds against peers, kept across restarts: a ban does not end with the process."""

from __future__ import annotations

import structlog

from node.clock import now_ms
from node.network.host import Host, PeerConnected, PeerEvent
from node.store import Store, StoreError

log = structlog.get_logger(__name__)


class PeerRecords:
    """Connects a host's reputation with the store's table of peers."""

    def __init__(self, host: Host, store: Store) -> None:
        self._host = host
        self._store = store

    def start(self) -> None:
        """Refuse again whom an earlier process had banned, and write down what happens from now on."""
        clock_ms = now_ms()
        for peer in self._store.banned_peers(clock_ms):
            self._host.ban(peer.public_key, (peer.banned_until_ms - clock_ms) / 1000)
        self._host.on_peer(self._met)
        self._host.on_misbehaviour(self._misbehaved)

    def _met(self, event: PeerEvent) -> None:
        if not isinstance(event, PeerConnected):
            return
        addresses = [peer.address for peer in self._host.peers() if peer.public_key == event.public_key]
        try:
            self._store.record_peer(event.public_key, addresses, now_ms())
        except StoreError as error:
            log.warning("peer.unrecorded", peer=event.public_key.hex()[:8], reason=str(error))

    def _misbehaved(self, key: bytes, reason: str, cost: float) -> None:
        banned_until_ms = 0
        if self._host.is_banned(key):
            banned_until_ms = now_ms() + int(self._host.limits.ban_s * 1000)
        try:
            self._store.record_penalty(key, self._host.penalty(key), banned_until_ms)
        except StoreError as error:
            log.warning("peer.unrecorded", peer=key.hex()[:8], reason=str(error))
