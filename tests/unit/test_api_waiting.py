"""Waiting for certificates: woken by them, bounded, and nothing of a client that went away stays behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from node.api.app import make_app
from node.api.embedding import waiting as waiting_module
from node.api.embedding.desk import EmbeddingDesk
from node.api.embedding.jobs import Encoding
from node.api.routes.embeddings import CLIENT_GONE
from node.store import ItemState
from tests.support.certifier import Certifier, asking, certifier_over, name_of, until

PATIENCE_S = 30.0


@pytest.fixture
def certifier(tmp_path: Path) -> Iterator[Certifier]:
    with certifier_over(tmp_path) as certifier:
        yield certifier


@pytest.fixture(autouse=True)
def _only_events_wake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is not woken by a certificate hangs until the test's patience is over."""
    monkeypatch.setattr(waiting_module, "LOOK_AGAIN_S", 10 * PATIENCE_S)


def run(certifier: Certifier, scenario: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    async def on_loop() -> None:
        async with asking(certifier.service) as client, asyncio.timeout(PATIENCE_S):
            await scenario(client)

    asyncio.run(on_loop())


def desk_of(client: httpx.AsyncClient) -> EmbeddingDesk:
    transport: Any = client._transport
    desk: EmbeddingDesk = transport.app.state.embedding_desk
    return desk


async def ask(client: httpx.AsyncClient, *texts: str, **headers: str) -> httpx.Response:
    return await client.post("/v1/embeddings", json={"input": list(texts)}, headers=headers)


def test_request__is_answered_by_the_certificate_it_waits_for(certifier: Certifier) -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        asked = asyncio.create_task(ask(client, "first", "second"))
        await until(lambda: desk_of(client).certificates.waiting == 1)
        certifier.certify_texts("first")
        certifier.certify_texts("something else")
        await asyncio.sleep(0.05)
        assert not asked.done()
        report = certifier.certify_texts("second")
        answer = (await asked).json()
        assert [item["served"] for item in answer["deltamesh"]["items"]] == ["round", "round"]
        assert answer["deltamesh"]["items"][1]["certificate"] == report.hex()
        assert desk_of(client).certificates.waiting == 0
        await until(lambda: certifier.service.events.listeners == 0)

    run(certifier, scenario)


def test_many_requests__share_one_listener(certifier: Certifier) -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        asked = [asyncio.create_task(ask(client, f"text {number}")) for number in range(24)]
        await until(lambda: desk_of(client).certificates.waiting == 24)
        await until(lambda: certifier.service.events.listeners == 1)
        certifier.certify_texts(*(f"text {number}" for number in range(24)))
        assert {answer.status_code for answer in await asyncio.gather(*asked)} == {200}

    run(certifier, scenario)


def test_void_round__is_waited_through(certifier: Certifier) -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        asked = asyncio.create_task(ask(client, "dealt twice"))
        await until(lambda: desk_of(client).certificates.waiting == 1)
        name = name_of("dealt twice")
        certifier.store.mark_dealt([name], 50)
        certifier.store.mark_released([name], 50)
        assert certifier.store.requeue_items(50) == 1
        certifier.certify_texts("of another round")
        await asyncio.sleep(0.05)
        assert not asked.done()
        certifier.certify_texts("dealt twice")
        assert (await asked).status_code == 200

    run(certifier, scenario)


def test_cancelled_request__frees_its_place_and_the_listener(certifier: Certifier) -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        asked = asyncio.create_task(ask(client, "given up"))
        await until(lambda: desk_of(client).certificates.waiting == 1)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert desk_of(client).certificates.waiting == 0
        await until(lambda: certifier.service.events.listeners == 0)

    run(certifier, scenario)


def test_client_that_hangs_up__frees_its_place(certifier: Certifier) -> None:
    app = make_app(certifier.service)

    async def scenario() -> None:
        certifier.service.events.attach(asyncio.get_running_loop())
        gone = asyncio.Event()
        sent: list[MutableMapping[str, Any]] = []
        body = [{"type": "http.request", "body": json.dumps({"input": "abandoned"}).encode()}]

        async def receive() -> MutableMapping[str, Any]:
            if body:
                return body.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/embeddings",
            "query_string": b"",
            "headers": [(b"content-type", b"application/json"), (b"host", b"127.0.0.1:7780")],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 7780),
            "scheme": "http",
            "http_version": "1.1",
            "root_path": "",
        }
        served = asyncio.create_task(app(scope, receive, send))
        await until(lambda: app.state.embedding_desk.certificates.waiting == 1)
        gone.set()
        await asyncio.wait_for(served, PATIENCE_S)
        assert app.state.embedding_desk.certificates.waiting == 0
        assert sent[0]["status"] == CLIENT_GONE

    asyncio.run(scenario())
    # What it submitted is public already and stays queued.
    assert certifier.store.item_counts()[ItemState.PENDING] == 1


def test_one_more_than_may_wait__is_told_to_come_back(
    certifier: Certifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_module, "WAITING_MAX", 2)

    async def scenario(client: httpx.AsyncClient) -> None:
        asked = [asyncio.create_task(ask(client, f"text {number}")) for number in range(2)]
        await until(lambda: desk_of(client).certificates.waiting == 2)
        refused = await ask(client, "one more")
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_waiting")
        assert int(refused.headers["retry-after"]) > 0
        # Who does not wait needs no place.
        assert (await ask(client, "one more", Prefer="respond-async")).status_code == 202
        certifier.certify_texts("text 0", "text 1", "one more")
        assert {answer.status_code for answer in await asyncio.gather(*asked)} == {200}

    run(certifier, scenario)


def test_certificate_between_looking_and_waiting__is_not_missed(certifier: Certifier) -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        await ask(client, "to make the desk", Prefer="wait=0")
        desk = desk_of(client)
        job = await desk.submit("slips through", Encoding.FLOAT, "me")
        looked = desk._is_done

        def look_then_certify(asked: Any) -> bool:
            done = looked(asked)
            if not done and not certifier.store.embedding(name_of("slips through")):
                certifier.certify_texts("slips through")
            return done

        desk._is_done = look_then_certify  # type: ignore[method-assign]
        assert await desk.wait(job, 60_000, "me")

    run(certifier, scenario)


def test_items_submitted__wake_the_validator_once_a_request(certifier: Certifier) -> None:
    woken: list[int] = []
    object.__setattr__(certifier.service, "wake", lambda: woken.append(1))

    async def scenario(client: httpx.AsyncClient) -> None:
        await ask(client, "a", "b", "c", Prefer="respond-async")
        assert len(woken) == 1
        certifier.certify_texts("a", "b", "c")
        await ask(client, "a", "b", "c")
        assert len(woken) == 1

    run(certifier, scenario)
