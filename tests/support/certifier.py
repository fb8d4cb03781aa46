"""Certified rounds of chosen items and vectors, written beside an API as a validator writes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
from numpy.typing import NDArray

from node.api.app import make_app
from node.api.service import Service
from node.store import EmbeddingRecord, RoundRecord, RoundState, Store
from protocol.items import canonical_text, item_id
from protocol.report import DIMENSIONS
from tests.support.api import service_over
from tests.support.publishing import publish

Vector = NDArray[np.float32]
FIRST_ROUND = 100
"""After those of the history."""


def vector_of(text: str) -> Vector:
    """A raw consensus vector, the same for the same text."""
    seed = int.from_bytes(item_id(canonical_text(text))[:8], "big")
    return np.random.default_rng(seed).standard_normal(DIMENSIONS).astype(np.float32) / 32


def name_of(text: str) -> bytes:
    return item_id(canonical_text(text))


@dataclass
class Certifier:
    """Writes to the store that a service reads."""

    service: Service
    store: Store
    rounds: int = field(default=0)

    def certify(self, vectors: Mapping[str, Vector | None], *, epoch: int = 0, whole: bool = True) -> bytes:
        """Certify texts in a round of their own, those with None without an embedding; the report's digest.

        Without `whole` everything is written but the round's state, as a moment before a certificate stands.
        """
        named = {name_of(text): vector for text, vector in vectors.items()}
        return self.certify_items(named, epoch=epoch, whole=whole)

    def certify_items(
        self, vectors: Mapping[bytes, Vector | None], *, epoch: int = 0, whole: bool = True
    ) -> bytes:
        """As `certify`, of items of any modality by their ids."""
        round_ = FIRST_ROUND + self.rounds
        self.rounds += whole
        report = round_.to_bytes(32, "big")
        self.store.record_round(RoundRecord(epoch, round_, 0, RoundState.REPORTED, 0, report_digest=report))
        self.store.record_embeddings(
            EmbeddingRecord(name, round_, 0, position, epoch, vector.astype("<f4").tobytes())
            for position, (name, vector) in enumerate(vectors.items())
            if vector is not None
        )
        self.store.mark_certified(list(vectors), round_)
        if whole:
            self.store.record_round(
                RoundRecord(
                    epoch,
                    round_,
                    0,
                    RoundState.CERTIFIED,
                    0,
                    report_digest=report,
                    certificate=b"certificate",
                )
            )
            told = {
                "round": round_,
                "shard": 0,
                "epoch": epoch,
                "report": report.hex(),
                "items": len(vectors),
            }
            publish(self.service.events, "certified", told)
        return report

    def certify_texts(self, *texts: str) -> bytes:
        """Certify texts, each with `vector_of` it."""
        return self.certify({text: vector_of(text) for text in texts})


@contextmanager
def certifier_over(root: Path) -> Iterator[Certifier]:
    """A service over a history, and who certifies more."""
    with (
        service_over(root) as service,
        Store.open(service.directory.store, service.directory.blobs) as store,
    ):
        yield Certifier(service, store)


@asynccontextmanager
async def asking(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """A client on the running loop, to which the service's events come."""
    service.events.attach(asyncio.get_running_loop())
    transport = httpx.ASGITransport(app=make_app(service))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7780") as client:
        yield client


async def until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds; whoever asks bounds the wait."""
    while True:
        try:
            if condition():
                return
        except AttributeError:  # no desk before the first request
            pass
        await asyncio.sleep(0.005)
