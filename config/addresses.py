"""The multiaddresses a user may write: TCP over IPv4, IPv6 or a DNS name, with or without the peer id."""

from __future__ import annotations

import ipaddress
import re

ADDRESS_LENGTH_MAX = 200
# Of an Ed25519 key, the only kind a node has.
_PEER_ID = re.compile(r"12D3KooW[1-9A-HJ-NP-Za-km-z]{44}")
_HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*\.?")
_EXAMPLE = "/ip4/192.0.2.1/tcp/7700"


def checked_dial_address(text: str, *, peer_id_required: bool = False) -> str:
    """The address itself when others can dial it. Raises ValueError saying what is wrong."""
    checked_address(text, peer_id_required=peer_id_required)
    if is_unspecified(text):
        raise ValueError(f"'{text}' is every address of a machine at once: give the one that others dial")
    if int(text.split("/")[4]) == 0:
        raise ValueError(f"port 0 in '{text}' is no port to dial: choose one, and listen on it")
    return text


def is_unspecified(address: str) -> bool:
    """Whether a checked address is 0.0.0.0 or ::, on which one listens but which nobody dials."""
    kind, host = address.split("/")[1:3]
    return kind in ("ip4", "ip6") and ipaddress.ip_address(host).is_unspecified


def is_loopback(address: str) -> bool:
    """Whether a checked address reaches nothing but the machine itself."""
    kind, host = address.split("/")[1:3]
    return ipaddress.ip_address(host).is_loopback if kind in ("ip4", "ip6") else host == "localhost"


def checked_address(text: str, *, peer_id_required: bool = False) -> str:
    """The address itself when a node can listen on or dial it. Raises ValueError saying what is wrong."""
    example = f"{_EXAMPLE}/p2p/12D3KooW..." if peer_id_required else _EXAMPLE
    parts = text.split("/")
    if len(text) > ADDRESS_LENGTH_MAX:
        raise ValueError(f"an address has at most {ADDRESS_LENGTH_MAX} characters, this one {len(text)}")
    if len(parts) not in (5, 7) or parts[0] or parts[3] != "tcp":
        raise ValueError(f"'{text}' is not a TCP multiaddress such as {example}")
    _check_host(parts[1], parts[2])
    if not re.fullmatch(r"[0-9]{1,5}", parts[4]) or int(parts[4]) > 65_535:
        raise ValueError(f"'{parts[4]}' in '{text}' is not a port: write a number from 0 to 65535")
    if len(parts) == 7 and (parts[5] != "p2p" or not _PEER_ID.fullmatch(parts[6])):
        raise ValueError(f"'{text}' does not end in /p2p/ and a peer id, such as {_EXAMPLE}/p2p/12D3KooW...")
    if peer_id_required and len(parts) == 5:
        raise ValueError(
            f"'{text}' names no peer: append /p2p/ and the peer id that `deltamesh keys show` prints there"
        )
    return text


def plain_ip(text: str) -> str:
    """An IP address as there is one way to write it, IPv4 inside IPv6 as IPv4. Raises ValueError."""
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def checked_api_address(text: str) -> str:
    """`off`, or the host:port itself when an HTTP API can listen there. Raises ValueError."""
    if text == "off":
        return text
    host, colon, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        address = None
    if not colon or len(text) > ADDRESS_LENGTH_MAX or (address is None and bare != "localhost"):
        raise ValueError(f"'{text[:ADDRESS_LENGTH_MAX]}' is no host:port, such as 127.0.0.1:7780, nor off")
    if address is not None and (address.version == 6) == (bare == host):
        raise ValueError(
            f"'{text}': an IPv6 address stands in brackets, such as [::1]:7780, and no other does"
        )
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65_535:
        raise ValueError(f"'{port}' in '{text}' is not a port: write a number from 0 to 65535")
    return text


def is_loopback_host(api: str) -> bool:
    """Whether a checked host:port reaches nothing but the machine itself."""
    host = api.rpartition(":")[0].strip("[]")
    return host == "localhost" or ipaddress.ip_address(host).is_loopback


def _check_host(kind: str, host: str) -> None:
    if kind in ("ip4", "ip6"):
        try:
            version = ipaddress.ip_address(host).version
        except ValueError:
            version = None
        if version != int(kind[2]):
            raise ValueError(f"'{host}' is not an IPv{kind[2]} address")
    elif kind not in ("dns", "dns4", "dns6"):
        raise ValueError(f"'/{kind}' is not supported: use /ip4, /ip6, /dns, /dns4 or /dns6")
    elif not _HOST_NAME.fullmatch(host):
        raise ValueError(f"'{host}' is not a host name")
