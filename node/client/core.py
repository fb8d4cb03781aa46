"""What the two clients share beside calls: what a caller gives, and what it trusts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx

from node.client import calls, embedding, files
from node.client.answers import Item
from node.client.call import Flow, Work, ask, printable
from node.client.chain_cache import cache_home
from node.client.embedding import Embeddings, OnEmbedded
from node.client.errors import ClientError, NotFoundError
from node.client.retrying import Retrying
from node.client.verification import Claim, VerifiedItem, Verifier
from node.client.wire import base_url
from protocol.genesis import Genesis
from protocol.items import ItemError, canonical_text
from protocol.items import item_id as name_of

if TYPE_CHECKING:
    from node.certified import OnStep

ANSWER_TIMEOUT_S: Final = 30.0


class Cache(Enum):
    """Where what was followed of a network is kept, if not in a folder of the caller's."""

    HOME = "home"
    """In the user's folder for caches."""
    NONE = "none"
    """Nowhere: every new client follows the epochs from the first."""


class Core:
    """One API, and the network its answers are checked against."""

    def __init__(
        self,
        url: str,
        network_id: bytes | str | None,
        genesis: Genesis | None,
        cache: Path | Cache,
        timeout_s: float,
        retrying: Retrying | None,
    ) -> None:
        self.address: httpx.URL = base_url(url)
        self.timeout_s = timeout_s
        self.retrying = retrying or Retrying()
        self._network_id = None if network_id is None else checked_digest(network_id, "network id")
        self._genesis = genesis
        self._cache = _folder(cache)
        self._verifier: Verifier | None = None

    def timeout_of(self, asked_s: float | None) -> float:
        """For one whole answer."""
        return max(self.timeout_s, asked_s or 0.0)

    @property
    def verifier(self) -> Verifier:
        """Raises ClientError where no network to trust was given."""
        if self._verifier is None:
            self._verifier = Verifier(self._network_id, self._genesis, self._cache)
        return self._verifier

    def embed(
        self, texts: Sequence[str], model: str, verify: bool, timeout_s: float, on_embedded: OnEmbedded | None
    ) -> Flow[Embeddings]:
        """Embed texts; verified, each is checked to be the certified embedding of that very text."""
        contents = _contents(texts) if verify else []
        verifier = self.verifier if verify else None
        found = yield from embedding.embed(texts, model, timeout_s, on_embedded)
        # The ids are computed here: the server may not choose which item it proves.
        return found if verifier is None else (yield from _verified(verifier, contents, found))

    def embed_files(
        self,
        given: Sequence[files.File],
        model: str,
        verify: bool,
        timeout_s: float,
        on_embedded: OnEmbedded | None,
    ) -> Flow[Embeddings]:
        """Embed files, an item each; verified, each is checked to be the certified embedding of that file."""
        verifier = self.verifier if verify else None
        data = yield from ask(Work(partial(files.read_files, given)))
        own: list[bytes] = []
        modality = ""
        if verifier is not None:
            modality = (yield from verifier.genesis()).modality.name
            own = yield from ask(Work(partial(files.items_of, modality, data)))
        inputs = yield from ask(Work(partial(files.inputs_of, data)))
        found = yield from embedding.embed(inputs, model, timeout_s, on_embedded, what="file")
        if verifier is None:
            return found
        contents = []
        for number, (content, item) in enumerate(zip(own, found.items, strict=True)):
            named = bytes.fromhex(item.item_id)
            contents.append((yield from files.same_item(number, modality, content, named)))
        return (yield from _verified(verifier, contents, found))

    def verify_item(
        self, item_id: bytes | str, text: str | None, space: str, on_step: OnStep | None
    ) -> Flow[VerifiedItem]:
        """Check the embedding the server has of one item, in a space."""
        name = checked_digest(item_id, "item id")
        verifier = self.verifier
        content = canonical(text) if text is not None else (yield from _content(name))
        told: Item = yield from ask(calls.item(name, space))
        if told.embedding is None:
            raise ClientError(
                f"item {name.hex()[:16]} is {printable(told.state[:20])} and has no embedding here: ask "
                "again once its round is certified"
            )
        report = None if told.certificate is None else bytes.fromhex(told.certificate)
        claim = Claim(name, content, report, told.embedding.values, told.embedding.space)
        return (yield from verifier.verify(claim, on_step))


def canonical(text: str) -> bytes:
    """Canonical bytes of a text. Raises ClientError."""
    try:
        return canonical_text(text)
    except ItemError as error:
        raise ClientError(f"the text cannot be embedded: {error}") from None


def checked_digest(given: bytes | str, what: str) -> bytes:
    """32 bytes, given as such or as hex. Raises ClientError."""
    if isinstance(given, str):
        if not re.fullmatch(r"[0-9a-fA-F]{64}", given):
            raise ClientError(f"'{given[:80]}' is no {what}: it has 64 hexadecimal digits")
        return bytes.fromhex(given)
    if len(given) != 32:
        raise ClientError(f"{len(given)} bytes are no {what}: it has 32")
    return given


def _verified(verifier: Verifier, contents: Sequence[bytes], found: Embeddings) -> Flow[Embeddings]:
    """The same embeddings, each checked to be the certified one of its content."""
    verified = []
    for content, item, vector in zip(contents, found.items, found.vectors, strict=True):
        report = bytes.fromhex(item.certificate)
        claim = Claim(name_of(content), content, report, vector, found.space)
        verified.append((yield from verifier.verify(claim)))
    return found.checked(tuple(verified), verifier.network_id.hex())


def _contents(texts: Sequence[str]) -> list[bytes]:
    found = []
    for number, text in enumerate(texts):
        try:
            found.append(canonical_text(text))
        except ItemError as error:
            raise ClientError(f"text {number} cannot be embedded: {error}") from None
    return found


def _content(name: bytes) -> Flow[bytes | None]:
    try:
        return (yield from ask(calls.content(name)))
    except NotFoundError:
        # Its id is what the caller asked about; the content would only tell what it names.
        return None


def _folder(cache: Path | Cache) -> Path | None:
    match cache:
        case Cache.HOME:
            return cache_home()
        case Cache.NONE:
            return None
        case Path():
            return cache
