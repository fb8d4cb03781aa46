"""Where validators are: everyone tells whom they know, and every validator gets dialled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
import structlog
import trio

from node.network.errors import DialError, RequestError
from node.network.host import Host
from protocol.codec import CodecError, PublicKey, Record, decode, encode
from protocol.genesis import Genesis

METHOD = "addresses"
ADDRESSES_EACH_MAX = 8
ANSWER_BYTES_MAX = 1 << 20
ASK_EVERY_S = 15.0

log = structlog.get_logger(__name__)


class Known(Record, frozen=True):
    """One validator and where it can be dialled."""

    public_key: PublicKey
    addresses: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=200)], ...], msgspec.Meta(max_length=ADDRESSES_EACH_MAX)
    ]


class Answer(Record, frozen=True):
    """Validators of this network that the answering node can reach."""

    known: Annotated[tuple[Known, ...], msgspec.Meta(max_length=4096)]


class AddressBook:
    """Keeps a node connected to the validators of its network. Holds only keys of genesis: bounded."""

    def __init__(self, genesis: Genesis, host: Host, bootstrap: Sequence[str]) -> None:
        self._genesis = genesis
        self._host = host
        self._addresses: dict[bytes, tuple[str, ...]] = {}
        self._asked: set[bytes] = set()
        host.handle(METHOD, self._answer, request_bytes_max=1, response_bytes_max=ANSWER_BYTES_MAX)
        for address in bootstrap:
            self._maintain(address)
        for key, member in genesis.validators.items():
            self._learn(key, member.addresses)

    async def run(self) -> None:
        """Ask connected validators whom they know, again and again, until everybody is known."""
        while True:
            for peer in self._host.peers():
                if peer.public_key in self._genesis.validators and peer.public_key not in self._asked:
                    await self._ask(peer.public_key)
            missing = self._genesis.validators.keys() - self._addresses.keys() - {self._host.public_key}
            if missing:
                # Who did not know yesterday may know today.
                self._asked.clear()
            await trio.sleep(1.0 if missing else ASK_EVERY_S)

    async def _ask(self, key: bytes) -> None:
        self._asked.add(key)
        try:
            data = await self._host.request(
                key, METHOD, b"", timeout_s=5.0, response_bytes_max=ANSWER_BYTES_MAX
            )
            answer = decode(data, Answer, size_bytes_max=ANSWER_BYTES_MAX)
        except (RequestError, CodecError) as error:
            log.debug("addresses.unanswered", peer=key.hex()[:8], reason=str(error))
            return
        for known in answer.known:
            if known.public_key in self._genesis.validators and known.public_key not in self._addresses:
                self._learn(known.public_key, known.addresses)

    async def _answer(self, peer: bytes, payload: bytes) -> bytes:
        own = {}
        if self._host.public_key in self._genesis.validators:
            own = {self._host.public_key: self._host.addresses[:ADDRESSES_EACH_MAX]}
        return encode(Answer(tuple(Known(key, at) for key, at in sorted({**self._addresses, **own}.items()))))

    def _learn(self, key: bytes, addresses: Sequence[str]) -> None:
        if key == self._host.public_key:
            return
        usable = tuple(address for address in addresses if self._maintain(address))
        if usable:
            self._addresses[key] = usable

    def _maintain(self, address: str) -> bool:
        try:
            self._host.maintain([address])
        except DialError as error:
            log.info("address.unusable", reason=str(error))
            return False
        return True
