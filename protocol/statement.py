"""Signed statements: the envelope every message travels in.

What is signed is the digest of (version, network id, kind, signer, body): a statement of one network, kind or
version can never be taken for one of another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from protocol.codec import CodecError, Digest, Natural, PublicKey, Record, Signature, decode, encode
from protocol.hashing import digest
from protocol.messages import BODIES, KINDS, Body, Kind
from protocol.signatures import verify

VERSION = 1
ENVELOPE_BYTES_MAX = 512 << 10

B = TypeVar("B", bound=Body)
B_co = TypeVar("B_co", bound=Body, covariant=True)


class Envelope(Record, frozen=True):
    """The bytes on the wire."""

    version: Natural
    network_id: Digest
    kind: Kind
    signer: PublicKey
    body: bytes
    """Canonical encoding of the kind's record."""
    signature: Signature


class _Signed(Record, frozen=True):
    version: Natural
    network_id: Digest
    kind: Kind
    signer: PublicKey
    body: bytes


@dataclass(frozen=True, slots=True)
class Statement(Generic[B_co]):
    """A decoded statement. `verify_signature` tells whether its signer made it."""

    body: B_co
    signer: bytes
    digest: bytes
    data: bytes
    """The envelope's bytes, as they travel and are stored."""
    signature: bytes

    @property
    def kind(self) -> Kind:
        return KINDS[type(self.body)]


class StatementError(ValueError):
    """Not a statement of this network; the message is safe to log."""


def statement_digest(network_id: bytes, signer: bytes, body: Body) -> bytes:
    """The digest a signature is over; the statement's name everywhere."""
    return digest("statement", encode(_Signed(VERSION, network_id, KINDS[type(body)], signer, encode(body))))


def assemble(network_id: bytes, signer: bytes, body: B, signature: bytes) -> Statement[B]:
    """The statement of a body and the signature over its digest."""
    kind, data = KINDS[type(body)], encode(body)
    name = digest("statement", encode(_Signed(VERSION, network_id, kind, signer, data)))
    envelope = encode(Envelope(VERSION, network_id, kind, signer, data, signature))
    return Statement(body, signer, name, envelope, signature)


Read = Callable[[bytes, bytes], Statement[Body]]
"""`parse`, or the same with a memory, where one process reads the same bytes for many nodes."""


def parse(data: bytes, network_id: bytes) -> Statement[Body]:
    """The statement in `data`, its signature not yet checked.

    Raises StatementError for anything that is not canonical, of another version or of another network.
    """
    try:
        envelope = decode(data, Envelope, size_bytes_max=ENVELOPE_BYTES_MAX)
        if envelope.version != VERSION:
            raise StatementError(f"version {envelope.version}, this node speaks {VERSION}")
        if envelope.network_id != network_id:
            raise StatementError("a statement of another network")
        body = decode(envelope.body, BODIES[envelope.kind], size_bytes_max=ENVELOPE_BYTES_MAX)
    except CodecError as error:
        raise StatementError(str(error)) from None
    name = digest(
        "statement", encode(_Signed(VERSION, network_id, envelope.kind, envelope.signer, envelope.body))
    )
    return Statement(body, envelope.signer, name, data, envelope.signature)


def verify_signature(statement: Statement[Body]) -> bool:
    """Whether the signer signed it."""
    return verify(statement.signer, statement.digest, statement.signature)


def expect(data: bytes, network_id: bytes, kind: type[B]) -> Statement[B]:
    """A statement of one kind with its signature checked. Raises StatementError."""
    statement = parse(data, network_id)
    if not isinstance(statement.body, kind):
        raise StatementError(f"an envelope of kind {statement.kind.value} where {KINDS[kind].value} belongs")
    if not verify_signature(statement):
        raise StatementError(f"the signature of this {statement.kind.value} is not its signer's")
    return statement  # type: ignore[return-value]
