"""POST /v1/embeddings of several clients: each stands in a line of its own, by its token or its address."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from node.api.app import make_app
from node.api.embedding import waiting as waiting_module
from node.api.embedding.desk import EmbeddingDesk
from node.api.guard.limits import Limits
from node.api.guard.stack import guarded
from node.api.guard.tokens import FILE_NAME, new_token
from node.store import StoreLimits
from node.store.database import Access, connect
from node.store.items import Items
from tests.support.api import guarded_client
from tests.support.certifier import Certifier, certifier_over, until

NOW = {"Prefer": "wait=0"}
PATIENCE_S = 30.0


@pytest.fixture
def certifier(tmp_path: Path) -> Iterator[Certifier]:
    with certifier_over(tmp_path) as certifier:
        yield certifier


@pytest.fixture
def tokens(certifier: Certifier) -> dict[str, str]:
    path = certifier.service.directory.root / FILE_NAME
    return {name: new_token(path, name) for name in ("alice", "bob")}


def named(token: str | None) -> dict[str, str]:
    return NOW if token is None else {**NOW, "Authorization": f"Bearer {token}"}


def ask(client: TestClient, token: str | None, *texts: str) -> Any:
    return client.post("/v1/embeddings", json={"input": list(texts)}, headers=named(token))


def desk_of(app: FastAPI) -> EmbeddingDesk:
    desk: EmbeddingDesk = app.state.embedding_desk
    return desk


def test_long_list__lets_other_tokens_and_addresses_in_between(
    certifier: Certifier, tokens: dict[str, str]
) -> None:
    client = guarded_client(certifier.service)
    ask(client, tokens["alice"], *(f"alice {number}" for number in range(100)))
    ask(client, tokens["bob"], "bob 0", "bob 1")
    ask(client, None, "somebody here")
    texts = [record.content for record in certifier.store.pending(7)]
    assert texts == [
        b"alice 0",
        b"bob 0",
        b"somebody here",
        b"alice 1",
        b"bob 1",
        b"alice 2",
        b"alice 3",
    ]
    # What is read of an item says that it came by the API, not by whom.
    assert {record.source for record in certifier.store.pending(7)} == {"api"}


def test_client_over_its_bound__is_told_when_to_come_back_and_others_are_served(
    certifier: Certifier, tokens: dict[str, str]
) -> None:
    service = certifier.service
    limits = StoreLimits(pending_items_per_client_max=3)
    path = service.directory.store
    with Items(path, connect(path, Access.READ_WRITE, limits), limits) as queue:
        object.__setattr__(service, "queue", queue)
        client = guarded_client(service)
        refused = ask(client, tokens["alice"], "a", "b", "c", "d")
        assert refused.status_code == 429
        error = refused.json()["error"]
        assert error["code"] == "queue_full"
        assert "of one client" in error["message"]
        assert int(refused.headers["retry-after"]) == service.genesis.parameters.slot_ms // 1_000
        assert ask(client, tokens["bob"], "e").status_code == 504
        # What found room stays, and the same request goes on from there.
        certifier.certify_texts("a", "b", "c")
        assert ask(client, tokens["alice"], "a", "b", "c", "d").status_code == 504


def test_client_that_waits_too_often__leaves_places_to_others(
    certifier: Certifier, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_module, "WAITING_PER_CLIENT_MAX", 2)
    app = make_app(certifier.service)
    served = guarded(app, certifier.service, Limits())

    async def scenario() -> None:
        certifier.service.events.attach(asyncio.get_running_loop())
        transport = httpx.ASGITransport(app=served)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7780") as client:

            async def wait(name: str, text: str) -> httpx.Response:
                headers = {"Authorization": f"Bearer {tokens[name]}"}
                return await client.post("/v1/embeddings", json={"input": text}, headers=headers)

            waiting = [asyncio.create_task(wait("alice", f"a{number}")) for number in range(2)]
            await until(lambda: desk_of(app).certificates.waiting == 2)
            refused = await wait("alice", "one more")
            assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_waiting")
            assert "2 requests of yours wait" in refused.json()["error"]["message"]
            assert int(refused.headers["retry-after"]) > 0
            waiting.append(asyncio.create_task(wait("bob", "b0")))
            await until(lambda: desk_of(app).certificates.waiting == 3)
            certifier.certify_texts("a0", "a1", "b0")
            assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {200}

    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await scenario()

    asyncio.run(bounded())
