"""Embeddings from a local network over HTTP: by the `openai` package, unchanged, and by curl."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
import trio

from node.api.guard.tokens import FILE_NAME, new_token
from node.client import Client, VerificationFailed
from node.clock import now_ms, sleep_until_ms
from node.store import ItemState
from protocol.items import canonical_text, item_id
from protocol.schedule import round_at, slot_start_ms
from tests.support.local_network import LocalNetwork, local_network

pytestmark = [pytest.mark.anyio, pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(240)]

TEXTS = [
    "the harbour lies open to the winter wind and the boats stay in",
    "short text",
    "one more\nfor the list",
]
UNTIL_ANSWERED_S = 60.0
LATEST_MS = 1_000
"""What comes so shortly before a slot may miss it on a loaded machine."""


def by_openai(base_url: str, texts: list[str], **more: Any) -> openai.types.CreateEmbeddingResponse:
    with openai.OpenAI(base_url=f"{base_url}/v1", api_key="none", timeout=UNTIL_ANSWERED_S) as client:
        return client.embeddings.create(model="deltamesh", input=texts, **more)


def by_async_openai(base_url: str, texts: list[str]) -> openai.types.CreateEmbeddingResponse:
    async def ask() -> openai.types.CreateEmbeddingResponse:
        async with openai.AsyncOpenAI(
            base_url=f"{base_url}/v1", api_key="none", timeout=UNTIL_ANSWERED_S
        ) as client:
            return await client.embeddings.create(model="deltamesh", input=texts)

    return asyncio.run(ask())


def by_curl(base_url: str, body: dict[str, Any], *headers: str) -> Any:
    command = ["curl", "--silent", "--show-error", "--max-time", str(UNTIL_ANSWERED_S)]
    for header in ("Content-Type: application/json", *headers):
        command += ["--header", header]
    command += ["--data", json.dumps(body), f"{base_url}/v1/embeddings"]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


async def base_url_of(network: LocalNetwork, name: str) -> str:
    def address() -> str | None:
        status = network.status(name)
        return None if status is None else status.api

    await network.until(address, 30, f"the API of {name} listens")
    return f"http://{address()}"


def vectors_of(answer: openai.types.CreateEmbeddingResponse) -> np.ndarray[Any, Any]:
    return np.array([row.embedding for row in answer.data], np.float32)


async def test_local_network__embeds_for_openai_and_curl(tmp_path: Path) -> None:
    # One space for the whole test: an epoch longer than it.
    async with local_network(tmp_path, api="127.0.0.1:0", epoch_rounds=256) as network:
        first, *others = [await base_url_of(network, name) for name in network.validators]
        # The client asks for base64 by default and decodes it.
        answer = await trio.to_thread.run_sync(by_openai, first, TEXTS)
        vectors = vectors_of(answer)
        assert vectors.shape == (3, 1024)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
        assert (answer.model, answer.usage.prompt_tokens) == ("deltamesh", 13 + 2 + 5)
        items = answer.deltamesh["items"]  # type: ignore[attr-defined]
        certified = network.certified("validator-0")
        for item in items:
            assert certified[item["round"]].report_digest.hex() == item["certificate"]  # type: ignore[union-attr]

        # Repeats are the same bits, by every client, in every encoding, at every validator.
        def again(url: str) -> None:
            assert vectors_of(by_async_openai(url, TEXTS)).tobytes() == vectors.tobytes()
            assert vectors_of(by_openai(url, TEXTS, encoding_format="float")).tobytes() == vectors.tobytes()
            if shutil.which("curl") is not None:
                told = by_curl(url, {"input": TEXTS[1], "encoding_format": "base64"})
                assert base64.b64decode(told["data"][0]["embedding"]) == vectors[1].tobytes()
                assert told["deltamesh"]["items"][0]["served"] == "repeat"

        await trio.to_thread.run_sync(again, first)
        last = max(item["round"] for item in items)
        for name, url in zip(network.validators[1:], others, strict=True):
            await network.until(
                lambda name=name: last in network.certified(name), 30, "it is certified there"
            )
            await trio.to_thread.run_sync(again, url)


async def test_client__verifies_and_finds_what_a_running_network_certified(tmp_path: Path) -> None:
    """Over epochs, so that their records, what they have learnt and the shaping are checked too."""
    async with local_network(tmp_path, api="127.0.0.1:0", epoch_rounds=6) as network:
        url = await base_url_of(network, "validator-0")
        await network.until(lambda: network.store("validator-0").newest_epoch() >= 2, 120, "epoch 2 begins")

        def ask() -> None:
            trusted = network.genesis.network_id
            with Client(url, network_id=trusted, cache=tmp_path / "cache") as client:
                found = client.embed(TEXTS, verify=True, timeout_s=UNTIL_ANSWERED_S)
                assert found.vectors.shape == (3, 1024)
                assert [one.space_epoch for one in found.verified] == [found.epoch] * 3
                assert found.epoch >= 2
                nearest = client.search(TEXTS[0], k=1).neighbours[0]
                assert nearest.item_id == found.items[0].item_id
            with (
                Client(url, network_id=b"\1" * 32, cache=tmp_path / "other") as client,
                pytest.raises(VerificationFailed),
            ):
                client.embed(TEXTS, verify=True, timeout_s=UNTIL_ANSWERED_S)

        await trio.to_thread.run_sync(ask)


async def test_items__ride_in_the_next_round_whenever_they_come(tmp_path: Path) -> None:
    """Before they were handed over as they came, what came inside a slot lost a round at most dealers."""
    async with local_network(tmp_path, api="127.0.0.1:0") as network:
        urls = [await base_url_of(network, name) for name in network.validators]
        await network.until(lambda: network.certified("validator-0"), 60, "the network certifies")
        asked: list[tuple[str, dict[str, Any]]] = []

        async def ask(name: str, url: str, text: str) -> None:
            told = await trio.to_thread.run_sync(by_curl, url, {"input": text})
            asked.append((name, told["deltamesh"]["items"][0]))

        slot_ms = network.genesis.parameters.slot_ms
        for turn in range(3):
            # Well inside a slot, after it was dealt.
            next_round = round_at(network.genesis, now_ms()) + 1
            await sleep_until_ms(slot_start_ms(network.genesis, next_round) + slot_ms // 2)
            async with trio.open_nursery() as nursery:
                for name, url in zip(network.validators, urls, strict=True):
                    nursery.start_soon(ask, name, url, f"item of turn {turn} at {name} inside a slot")
        for name, item in asked:
            record = network.store(name).item(bytes.fromhex(item["item_id"]))
            assert record is not None
            # A loaded machine submits later than it was asked to, and voids a round now and then.
            came = round_at(network.genesis, record.submitted_ms + LATEST_MS)
            assert item["round"] <= min(round_ for round_ in network.certified(name) if round_ > came)


async def test_long_list_of_one_client__does_not_hold_up_another(tmp_path: Path) -> None:
    """Before clients were served in turn, the second waited for all of the first one's list."""
    batch = 16
    async with local_network(tmp_path, api="127.0.0.1:0", served_items_max=batch) as network:
        tokens = network.nodes["validator-0"].directory.root / FILE_NAME
        alice, bob = new_token(tokens, "alice"), new_token(tokens, "bob")
        url = await base_url_of(network, "validator-0")
        await network.until(lambda: network.certified("validator-0"), 60, "the network certifies")
        long_list = [f"text number {number} of a list that is long" for number in range(10 * batch)]

        def ask() -> int:
            with Client(url, token=alice) as client:
                client.submit(long_list)
            with Client(url, token=bob) as client:
                return client.embed(["one text alone"], timeout_s=2 * UNTIL_ANSWERED_S).items[0].round

        answered_in = await trio.to_thread.run_sync(ask)
        names = [item_id(canonical_text(text)) for text in long_list]
        states = network.store("validator-0").item_states(names).values()
        before = sum(
            state is ItemState.CERTIFIED and round_ is not None and round_ <= answered_in
            for state, round_ in states
        )
        # The batch that was handed over already, one that was being dealt, and the one they share.
        assert before <= 3 * batch
