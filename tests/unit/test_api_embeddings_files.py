"""POST /v1/embeddings of a network of images: files as data URLs or base64 are items, all else is refused."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from node.api.embedding.limits import FILES_MAX
from node.api.service import Service
from node.modalities.image_item import encode_image
from protocol.genesis import Genesis
from protocol.items import item_id
from tests.support.api import client_of, service_over
from tests.support.genesis import small_network

PIXELS = np.random.default_rng(4).integers(0, 255, (64, 64, 3), dtype=np.uint8)


def png(pixels: np.ndarray[Any, Any] = PIXELS) -> str:
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    return base64.b64encode(written.getvalue()).decode()


@pytest.fixture(scope="module")
def genesis() -> Genesis:
    return small_network(modality="image", reference_encoder="image-patches")[0]


@pytest.fixture
def service(tmp_path: Path, genesis: Genesis) -> Iterator[Service]:
    with service_over(tmp_path) as service:
        yield replace(service, genesis=genesis)


@pytest.fixture
def client(service: Service) -> Iterator[TestClient]:
    with client_of(service) as client:
        yield client


def ask(client: TestClient, given: Any) -> Any:
    return client.post(
        "/v1/embeddings", json={"input": given, "model": "deltamesh"}, headers={"Prefer": "wait=0"}
    )


def test_image__is_queued_as_the_item_of_its_pixels_once_as_data_url_and_as_base64(
    service: Service, client: TestClient
) -> None:
    answer = ask(client, [f"data:image/png;base64,{png()}", png()])
    assert answer.json()["error"]["code"] == "not_certified_in_time", answer.text
    assert [one.item_id for one in service.store.pending(9)] == [item_id(encode_image(PIXELS))]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("a red bicycle", "data URL"),
        ("data:image/png," + png(), "data URL"),
        ("data:image/png;base64,!!!", "data URL"),
        (base64.b64encode(b"no picture").decode(), "the file"),
        (base64.b64encode(base64.b64decode(png())[:200]).decode(), "the file"),
        ("", "the file"),
    ],
)
def test_input__that_is_no_image_is_refused_by_its_index(
    service: Service, client: TestClient, given: str, says: str
) -> None:
    answer = ask(client, [png(), given])
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["param"] == "input[1]"
    assert says in error["message"]
    assert "deltamesh-input" not in error["message"]
    assert service.store.pending(9) == []


def test_files__are_bounded_in_number(client: TestClient) -> None:
    answer = ask(client, ["AAAA"] * (FILES_MAX + 1))
    assert answer.status_code == 400
    assert str(FILES_MAX) in answer.json()["error"]["message"]
