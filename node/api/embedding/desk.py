"""From a request to its answer: canonical items, the queue, the certificates, the vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import anyio
import anyio.to_thread

from node.api.embedding.answer import Answer
from node.api.embedding.inputs import items_of_input, units_of
from node.api.embedding.jobs import FOLDER_NAME, Encoding, Job, Jobs, Served
from node.api.embedding.limits import THREADS_MAX, WAIT_MS_MAX, WAIT_MS_MIN, WAIT_SLOTS
from node.api.embedding.waiting import Certificates
from node.api.errors import ApiError
from node.api.service import Service
from node.api.spaces import Spaces
from node.clock import now_ms
from node.space import NEWEST
from node.store import ItemState, QueueFull
from protocol.items import item_id

SOURCE: Final = "api"

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is."""

    done: int
    """Items of which certified rounds say all there is to say."""
    dealt: int
    """Further ones that are in a round, as far as this validator knows."""
    total: int


class EmbeddingDesk:
    """Takes requests for embeddings, waits for what they need, answers. One an API."""

    def __init__(self, service: Service, spaces: Spaces) -> None:
        self._service = service
        self._spaces = spaces
        self._threads = anyio.CapacityLimiter(THREADS_MAX)
        self.certificates = Certificates(service.events)
        self.jobs = Jobs(service.directory.root / FOLDER_NAME)

    @property
    def wait_ms(self) -> int:
        """How long a request waits for its certificates, unless it says less."""
        slot_ms = self._service.genesis.parameters.slot_ms
        return min(WAIT_MS_MAX, max(WAIT_MS_MIN, WAIT_SLOTS * slot_ms))

    async def in_thread(self, work: Callable[..., _Result], *arguments: Any) -> _Result:
        """What computes or touches the disk, beside the loop."""
        return await anyio.to_thread.run_sync(work, *arguments, limiter=self._threads)

    async def submit(self, given: Any, encoding: Encoding, client: str) -> Job:
        """Queue what is not certified yet, in the line of a client. Raises ApiError, StoreError."""
        return await self.in_thread(self._submit, given, encoding, client)

    async def wait(self, job: Job, wait_ms: int, client: str) -> bool:
        """Until every item is certified; False when the time was over before. Raises ApiError, StoreError."""
        if await self.in_thread(self._is_done, job):
            return True
        if wait_ms <= 0:
            return False  # who does not wait needs no place
        with anyio.move_on_after(wait_ms / 1_000):
            async with self.certificates.place(client):
                while True:
                    mark = self.certificates.mark()
                    if await self.in_thread(self._is_done, job):
                        return True
                    await self.certificates.wait(mark)
        return False

    async def answer(self, job: Job) -> bytes:
        """The response's JSON, of a job that is done. Raises ApiError for an item without embedding."""
        return await self.in_thread(self._answer, job)

    async def progress(self, job: Job) -> Progress:
        """How far a job is. Raises StoreError."""
        return await self.in_thread(self._progress, job)

    # -- in threads ----------------------------------------------------------------------------------------

    def _submit(self, given: Any, encoding: Encoding, client: str) -> Job:
        genesis, queue = self._service.genesis, self._service.queue
        items = items_of_input(genesis, given)
        if genesis.parameters.served_items_max == 0:
            raise ApiError(
                501, "this network serves no submitted items: its genesis says served_items_max = 0"
            )
        names = [item_id(item) for item in items]
        store, different = self._service.store, list(dict.fromkeys(names))
        states, embedded = store.item_states(different), store.bound_embeddings(different)
        # What was certified without an embedding is dealt once more.
        repeats = {name for name in embedded if states[name][0] is ItemState.CERTIFIED}
        job = Job(
            encoding,
            tuple(name.hex() for name in names),
            tuple(Served.REPEAT if name in repeats else Served.ROUND for name in names),
            units_of(genesis, items),
            now_ms(),
        )
        fresh = {name: item for name, item in zip(names, items, strict=True) if name not in repeats}
        try:
            for name, item in fresh.items():
                queue.submit_item(
                    name,
                    item,
                    modality=genesis.modality.name,
                    source=SOURCE,
                    submitted_ms=job.created_ms,
                    client=f"{SOURCE} {client}",
                )
        except QueueFull as error:
            raise ApiError(
                429,
                f"the queue of this validator has no room: {error}",
                code="queue_full",
                headers={"Retry-After": self.retry_after},
            ) from None
        finally:
            if fresh:
                self._service.wake()
        return job

    @property
    def retry_after(self) -> str:
        """Seconds of a slot: sooner nothing changes."""
        return str(-(-self._service.genesis.parameters.slot_ms // 1_000))

    def _is_done(self, job: Job) -> bool:
        return self._progress(job).done == len(job.item_ids)

    def _progress(self, job: Job) -> Progress:
        names = job.item_ids
        states = self._service.store.item_states(names)
        done = dealt = 0
        bound = self._service.store.bound_embeddings(names)
        for name, (state, _) in states.items():
            # Items are marked a moment before their round is: an answer names its certificate. One that is
            # certified and has no embedding will get none.
            if state is ItemState.CERTIFIED and bound.get(name, True):
                done += 1
            elif state is not ItemState.PENDING:
                dealt += 1
        return Progress(done, dealt, len(names))

    def _answer(self, job: Job) -> bytes:
        return Answer(self._service, self._spaces.open(NEWEST)).of(job)
