"""Keys and IP addresses the operator has banned, as the host and its swarm ask for them."""

from __future__ import annotations

from libp2p.abc import INetConn
from libp2p.network.swarm import Swarm
from multiaddr import Multiaddr

from config.addresses import plain_ip
from node.network.identity import public_key


class Denied:
    """Who is refused; nobody until `set`."""

    def __init__(self) -> None:
        self._keys: frozenset[bytes] = frozenset()
        self._addresses: frozenset[str] = frozenset()

    def set(self, keys: frozenset[bytes], addresses: frozenset[str]) -> None:
        """Refuse these and no others; addresses are IP addresses in their one plain form."""
        self._keys = keys
        self._addresses = addresses

    def has_key(self, key: bytes) -> bool:
        """Whether a key is refused."""
        return key in self._keys

    def has_ip(self, address: str) -> bool:
        """Whether an IP address is refused, however it is written."""
        if not self._addresses:
            return False
        try:
            # The kernel tells of IPv4 peers of a dual-stack listener as ::ffff:192.0.2.1.
            return plain_ip(address) in self._addresses
        except ValueError:
            return False

    def has_address(self, address: Multiaddr) -> bool:
        """Whether a multiaddress leads to a refused IP address; a name says nothing of where it leads."""
        kind, host = str(address).split("/")[1:3]
        return kind in ("ip4", "ip6") and self.has_ip(host)

    def has_connection(self, connection: INetConn) -> bool:
        """Whether a connection is with a refused key or IP address."""
        muxed = connection.muxed_conn
        if self._keys and self.has_key(public_key(muxed.peer_id) or b""):
            return True
        if not self._addresses:
            return False
        remote = muxed.get_remote_address()  # type: ignore[attr-defined]  # all our muxers have it
        return remote is not None and self.has_ip(remote[0])

    def connections_of(self, swarm: Swarm) -> list[INetConn]:
        """The connections there are with refused peers."""
        return [connection for connection in swarm.get_connections() if self.has_connection(connection)]
