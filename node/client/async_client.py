"""The client for event loops, asyncio's or trio's: the same methods, awaited."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import anyio
import anyio.to_thread
import httpx

from node.client import answers, calls, pages
from node.client.call import Call, Flow, Work
from node.client.core import ANSWER_TIMEOUT_S, Cache, Core, checked_digest
from node.client.download import Download
from node.client.embedding import MODEL, TIMEOUT_S, Embeddings, OnEmbedded
from node.client.errors import ClientError, UnreachableError
from node.client.events import EVENTS, SILENCE_S, Listening
from node.client.files import File
from node.client.retrying import Retrying
from node.client.sse import Event
from node.client.verification import VerifiedItem
from node.client.wire import CONNECT_S, Body, client_options, errors_in_words, request_options
from node.status import PeerStatus
from protocol.genesis import Genesis

if TYPE_CHECKING:
    from node.bundle import Progress
    from node.certified import OnStep
    from node.client.answers.base import Vector

P = TypeVar("P")
T = TypeVar("T")
C = TypeVar("C", int, str)


class AsyncClient:
    """Asks the API of one validator. For one loop; close it, or use it in an `async with`.

    Every method raises a ClientError: ServerError with the server's own words, UnreachableError,
    TimedOutError, BadAnswerError. Where something is verified it may raise VerificationFailed too.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        network_id: bytes | str | None = None,
        genesis: Genesis | None = None,
        cache: Path | Cache = Cache.HOME,
        timeout_s: float = ANSWER_TIMEOUT_S,
        retrying: Retrying | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`network_id` or `genesis` is the network one trusts: needed only for what is verified."""
        self._core = Core(url, network_id, genesis, cache, timeout_s, retrying)
        self._http = httpx.AsyncClient(**client_options(self._core.address, token), transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    # -- the network -----------------------------------------------------------------------------------------

    async def status(self) -> answers.Status:
        """The validator at a glance."""
        return await self._ask(calls.status())

    async def metrics(self) -> bytes:
        """The page Prometheus reads."""
        return await self._ask(calls.metrics())

    async def genesis(self) -> bytes:
        """Canonical genesis, as the server says; its digest is the network id."""
        return await self._ask(calls.genesis())

    def rounds(self, before: int | None = None) -> AsyncIterator[answers.Round]:
        """All shard-rounds, newest first, fetched a page at a time."""
        return self._pages(pages.ROUNDS, before)

    async def newest_rounds(self, last: int) -> tuple[answers.Round, ...]:
        """The shards of the `last` newest rounds, newest first."""
        return await self._run(pages.newest_rounds(last))

    async def round(self, number: int) -> answers.RoundDetail:
        """One round: steps, scores, who attested, disputes."""
        return await self._ask(calls.round_(number))

    def epochs(self, before: int | None = None) -> AsyncIterator[answers.Epoch]:
        """All epochs, newest first, fetched a page at a time."""
        return self._pages(pages.EPOCHS, before)

    async def epoch(self, number: int) -> answers.EpochDetail:
        """One epoch's record and members."""
        return await self._ask(calls.epoch(number))

    async def epoch_record(self, number: int) -> bytes:
        """Canonical CertifiedRecord of an epoch from 1 on."""
        return await self._ask(calls.epoch_record(number))

    async def epoch_encoders(self, number: int) -> bytes:
        """Canonical EncoderTable of an epoch."""
        return await self._ask(calls.epoch_encoders(number))

    def encoders(self) -> AsyncIterator[answers.Encoder]:
        """The encoders of the newest epoch and how they do, in key order."""
        return self._pages(pages.ENCODERS)

    async def encoder(self, public_key: bytes | str, rounds: int = 100) -> answers.EncoderHistory:
        """One encoder, and how it did over the newest rounds."""
        return await self._ask(calls.encoder(checked_digest(public_key, "key"), rounds))

    def validators(self) -> AsyncIterator[answers.Validator]:
        """The validators of the newest epoch, in key order."""
        return self._pages(pages.VALIDATORS)

    def evidence(self) -> AsyncIterator[answers.Evidence]:
        """Proofs of misbehaviour, newest first."""
        return self._pages(pages.EVIDENCE)

    def disputes(self, round: int | None = None) -> AsyncIterator[answers.Dispute]:
        """Refusals of reports, of one round or of all, newest first."""
        return self._pages(pages.disputes_of(round))

    def peers(self) -> AsyncIterator[PeerStatus]:
        """Whom the validator is connected to, in key order."""
        return self._pages(pages.PEERS)

    # -- embeddings ------------------------------------------------------------------------------------------

    async def item(self, item_id: bytes | str, space: str | None = None) -> answers.Item:
        """One item; with its vector where a space is named: newest, raw, or the number of an epoch."""
        return await self._ask(calls.item(checked_digest(item_id, "item id"), space))

    async def embed(
        self,
        texts: Sequence[str],
        *,
        verify: bool = False,
        model: str = MODEL,
        timeout_s: float = TIMEOUT_S,
        on_embedded: OnEmbedded | None = None,
    ) -> Embeddings:
        """Embed texts, and wait until they are certified. They become public in the reports of their rounds.

        `timeout_s` bounds the wait; what is queued by then is certified all the same. With `verify`, each
        vector is checked to be the certified one of that very text, believing nothing the server says.
        Raises VerificationFailed, ClientError.
        """
        return await self._run(self._core.embed(texts, model, verify, timeout_s, on_embedded))

    async def embed_files(
        self,
        files: Sequence[File],
        *,
        verify: bool = False,
        model: str = MODEL,
        timeout_s: float = TIMEOUT_S,
        on_embedded: OnEmbedded | None = None,
    ) -> Embeddings:
        """As `embed`, for networks of images, sound, series or bytes: each file must make one item.

        A file is a path, or the bytes it holds; what it is, is told by its content. With `verify` its item
        is made here too, and compared but for the rounding of another machine. Raises VerificationFailed,
        ClientError.
        """
        return await self._run(self._core.embed_files(files, model, verify, timeout_s, on_embedded))

    async def submit(
        self, texts: Sequence[str], *, model: str = MODEL
    ) -> answers.EmbeddingList | answers.Job:
        """Embed texts without waiting: what is certified already, or a job; `job` tells what became of it."""
        return await self._ask(calls.embed(texts, model, 0))

    async def job(self, job_id: str) -> answers.Job:
        """How far an embedding has come."""
        return await self._ask(calls.job(job_id))

    async def verify_item(
        self,
        item_id: bytes | str,
        *,
        text: str | None = None,
        space: str = "newest",
        on_step: OnStep | None = None,
    ) -> VerifiedItem:
        """Check that the embedding the server has of an item is certified; `text` is what one knows it to be.

        Raises VerificationFailed, ClientError.
        """
        return await self._run(self._core.verify_item(item_id, text, space, on_step))

    async def search(
        self,
        text: str | None = None,
        *,
        item_id: bytes | str | None = None,
        vector: Vector | Sequence[float] | None = None,
        k: int = 10,
        space: str = "newest",
        certified: bool = False,
        filters: Mapping[str, object] | None = None,
    ) -> answers.SearchResult:
        """The items nearest to one of a text, an item or a vector; filters: from_round, to_round, source."""
        name = None if item_id is None else checked_digest(item_id, "item id")
        return await self._ask(calls.search(text, name, vector, k, space, certified, filters or {}))

    async def report_bundle(
        self, digest: bytes | str, path: Path, on_progress: Progress | None = None
    ) -> int:
        """Write a certified report with all that `deltamesh verify` needs to a .dmr file; its size in bytes.

        The file is whole or absent. Nothing in it is checked yet but that it is a bundle.
        """
        name = checked_digest(digest, "report's digest")
        with Download(path, on_progress) as download:
            return await self._ask(calls.bundle(name), download)

    # -- events ----------------------------------------------------------------------------------------------

    async def events(self, kinds: Sequence[str] = (), last_id: int | None = None) -> AsyncIterator[Event]:
        """What happens, as it happens, for ever; after `last_id` first what the server has kept.

        A connection that breaks is made anew and goes on where it was. Raises ClientError where it cannot be.
        """
        listening = Listening(tuple(kinds), last_id, self._core.retrying)
        while True:
            try:
                with errors_in_words(self._core.address, EVENTS, SILENCE_S):
                    async with self._http.stream(**listening.options()) as response:
                        if not response.is_success:
                            await self._read(EVENTS, response, CONNECT_S)
                        async for chunk in response.aiter_raw():
                            for event in listening.feed(chunk):
                                yield event
            except ClientError as error:
                await anyio.sleep(listening.pause_s(error))
            else:
                await anyio.sleep(listening.pause_s(UnreachableError("the event stream ended: try again")))

    # -- how -------------------------------------------------------------------------------------------------

    async def _pages(self, listed: pages.Pages[P, T, C], first: C | None = None) -> AsyncIterator[T]:
        cursor = first
        while True:
            page = await self._ask(listed.call(cursor))
            for one in listed.entries(page):
                yield one
            cursor = listed.after(page, cursor)
            if cursor is None:
                return

    async def _run(self, flow: Flow[T]) -> T:
        """Do what a flow asks for, one after the other."""
        try:
            step = next(flow)
            while True:
                try:
                    done = await self._do(step)
                except Exception as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(done)
        except StopIteration as end:
            result: T = end.value
            return result

    async def _do(self, step: Call[Any] | Work[Any]) -> Any:
        return await (anyio.to_thread.run_sync(step.run) if isinstance(step, Work) else self._ask(step))

    async def _ask(self, call: Call[T], into: Download | None = None) -> T:
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._once(call, into)
            except ClientError as error:
                pause_s = self._core.retrying.pause_s(call, attempt, error)
                if pause_s is None:
                    raise
            await anyio.sleep(pause_s)

    async def _once(self, call: Call[T], into: Download | None) -> T:
        timeout_s = self._core.timeout_of(call.timeout_s)
        with errors_in_words(self._core.address, call, timeout_s):
            async with self._http.stream(**request_options(call, timeout_s)) as response:
                return await self._read(call, response, timeout_s, into)

    async def _read(
        self, call: Call[T], response: httpx.Response, timeout_s: float, into: Download | None = None
    ) -> T:
        body = Body(call, response, timeout_s, into)
        async for chunk in response.aiter_raw():
            body.add(chunk)
        result: T = body.result()
        return result
