"""Keys and addresses: an Ed25519 public key is the peer, its libp2p id merely embeds it."""

from __future__ import annotations

from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.x25519 import create_new_key_pair as create_x25519_key_pair
from libp2p.custom_types import TProtocol, TSecurityOptions
from libp2p.peer.id import ID
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE_ID
from libp2p.security.noise.transport import Transport as NoiseTransport
from multiaddr import Multiaddr

from node.network.errors import DialError

KEY_BYTES = 32
# Identity multihash (0x00) of 36 bytes (0x24): protobuf PublicKey{type=Ed25519, data=32 bytes}.
_ID_PREFIX = b"\x00\x24\x08\x01\x12\x20"


def key_pair(identity_seed: bytes) -> KeyPair:
    """The libp2p key pair of a 32-byte Ed25519 seed. Raises ValueError on another length."""
    if len(identity_seed) != KEY_BYTES:
        raise ValueError(f"an identity seed has {KEY_BYTES} bytes, not {len(identity_seed)}")
    return create_new_key_pair(identity_seed)


def security(keys: KeyPair) -> TSecurityOptions:
    """Noise and nothing else.

    The library's default also offers plaintext and secio, with which anyone can pose as any peer. Noise's
    static key is an X25519 key of its own, signed by the Ed25519 identity: the identity key never does a
    Diffie-Hellman.
    """
    noise = NoiseTransport(keys, noise_privkey=create_x25519_key_pair().private_key)
    return {TProtocol(NOISE_ID): noise}


def peer_id(public_key: bytes) -> ID:
    """The libp2p id that embeds a raw Ed25519 public key."""
    return ID(_ID_PREFIX + public_key)


def public_key(peer: ID) -> bytes | None:
    """The raw Ed25519 public key inside a libp2p id, or None for an id of another kind."""
    raw = peer.to_bytes()
    if len(raw) != len(_ID_PREFIX) + KEY_BYTES or not raw.startswith(_ID_PREFIX):
        return None
    return raw[len(_ID_PREFIX) :]


def key_of_peer_id(text: str) -> bytes | None:
    """The raw Ed25519 public key in a written peer id (12D3Koo...), or None for anything else."""
    try:
        return public_key(ID.from_base58(text))
    except ValueError:
        return None


def parse_address(address: str) -> tuple[Multiaddr, bytes]:
    """A dialable multiaddr and the public key it names. Raises DialError saying what is wrong."""
    try:
        parsed = Multiaddr(address)
        name = parsed.value_for_protocol("p2p")
        key = public_key(ID.from_base58(str(name)))
    except Exception as error:
        raise DialError(
            address, f"not a multiaddr like /ip4/192.0.2.1/tcp/4001/p2p/12D3... ({type(error).__name__})"
        ) from error
    if key is None:
        raise DialError(address, "its peer id is not an Ed25519 key; every node here has one")
    if "tcp" not in {protocol.name for protocol in parsed.protocols()}:
        raise DialError(address, "it has no /tcp/ part; only TCP is spoken here")
    return parsed, key
