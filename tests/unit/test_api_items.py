"""Reading items, embeddings and their proofs over HTTP."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator

import numpy as np
import pytest
from fastapi.testclient import TestClient

from node.store import Store
from protocol.certificates import check_certificate
from protocol.codec import decode
from protocol.epochs.view import Epoch
from protocol.items import item_id
from protocol.merkle import verify_merkle_proof
from protocol.messages import Certificate, Report
from protocol.report import VECTOR_BYTES
from protocol.statement import ENVELOPE_BYTES_MAX, expect
from tests.support.api import client_of
from tests.support.api_reading import (
    HISTORY,
    NETWORK_ID,
    UNANSWERED,
    UNREPORTED,
    VECTOR,
    WAITING,
    get,
    refusal,
    whole_api,
    whole_service,
)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with whole_api(tmp_path_factory.mktemp("home")) as client:
        yield client


def test_proof__of_every_item_leads_to_the_root_a_quorum_signed(api: TestClient) -> None:
    for fact in HISTORY.facts:
        for position, item in enumerate(fact.items):
            name = item_id(item)
            told = get(api, f"/v1/items/{name.hex()}/proof")
            header = expect(b64decode(told["header"]), NETWORK_ID, Report)
            certificate = decode(
                b64decode(told["certificate"]), Certificate, size_bytes_max=ENVELOPE_BYTES_MAX
            )
            check_certificate(Epoch.first(HISTORY.genesis), certificate)
            assert certificate.report == header.digest == fact.header.digest
            leaf = name + b64decode(told["vector"])
            siblings = [bytes.fromhex(one) for one in told["merkle_proof"]]
            assert (told["position"], len(leaf)) == (position, 32 + VECTOR_BYTES)
            root, count = header.body.consensus_root, told["items"]
            assert verify_merkle_proof(root, leaf, told["position"], count, siblings)
            assert not verify_merkle_proof(root, leaf[:-1] + b"\x01", told["position"], count, siblings)


def test_challenge_item__has_its_text_from_the_report(api: TestClient) -> None:
    item = HISTORY.facts[3].items[5]
    told = get(api, f"/v1/items/{item_id(item).hex()}?embedding=none")
    assert (told["text"], told["state"], told["round"], told["epoch"]) == (item.decode(), "certified", 3, 0)
    assert told["certificate"] == HISTORY.facts[3].header.digest.hex()
    assert told["embedding"] is None
    content = api.get(f"/v1/items/{item_id(item).hex()}/content")
    assert content.content == item
    assert content.headers["content-type"] == "application/octet-stream"
    assert content.headers["x-content-type-options"] == "nosniff"


def test_waiting_item__has_neither_embedding_nor_proof(api: TestClient) -> None:
    name = item_id(WAITING).hex()
    told = get(api, f"/v1/items/{name}")
    assert (told["state"], told["text"], told["submitted_ms"]) == ("pending", WAITING.decode(), 5)
    assert (told["round"], told["certificate"], told["embedding"]) == (None, None, None)
    assert refusal(api, f"/v1/items/{name}/proof", 404)["code"] == "not_certified"


def test_item_nobody_answered__is_certified_without_an_embedding(api: TestClient) -> None:
    told = get(api, f"/v1/items/{UNANSWERED.hex()}")
    assert (told["state"], told["round"], told["embedding"], told["text"]) == ("certified", 5, None, None)
    assert refusal(api, f"/v1/items/{UNANSWERED.hex()}/proof", 404)["code"] == "not_certified"
    assert refusal(api, f"/v1/items/{UNANSWERED.hex()}/content", 404)["code"] == "content_not_held"


def test_item_nobody_answered__has_its_text_from_the_report(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    item = HISTORY.facts[2].items[0]
    with whole_service(tmp_path_factory.mktemp("home")) as service:
        with (
            Store.open(service.directory.store, service.directory.blobs) as store,
            store._transaction() as database,
        ):
            database.execute("DELETE FROM embeddings WHERE item_id = ?", (item_id(item),))
        with client_of(service) as api:
            told = get(api, f"/v1/items/{item_id(item).hex()}")
            assert (told["text"], told["embedding"], told["certificate"]) == (item.decode(), None, None)
            assert api.get(f"/v1/items/{item_id(item).hex()}/content").content == item


def test_embedding__is_the_same_in_numbers_and_in_base64(api: TestClient) -> None:
    path = f"/v1/items/{UNREPORTED.hex()}"
    raw = get(api, f"{path}?space=raw")["embedding"]
    assert (raw["space"], raw["dimensions"]) == ("raw", 1024)
    assert np.array(raw["vector"], "<f4").tobytes() == VECTOR.tobytes()
    assert (
        b64decode(get(api, f"{path}?space=raw&embedding=base64")["embedding"]["vector"]) == VECTOR.tobytes()
    )


def test_embedding__in_a_shaped_space_is_of_unit_norm_and_names_its_epoch(api: TestClient) -> None:
    for asked in ("", "?space=newest", "?space=1"):
        told = get(api, f"/v1/items/{UNREPORTED.hex()}{asked}")["embedding"]
        assert told["space"] == "epoch 1"
        assert np.linalg.norm(told["vector"]) == pytest.approx(1, abs=1e-6)


def test_embedding__that_is_not_a_number_is_null(api: TestClient) -> None:
    # The history's vectors are zeros, which have no direction.
    name = item_id(HISTORY.facts[0].items[0]).hex()
    assert set(get(api, f"/v1/items/{name}")["embedding"]["vector"]) == {None}


@pytest.mark.parametrize(("space", "status"), [("2", 404), ("round", 400), ("-1", 400), ("9" * 30, 400)])
def test_space__that_is_not_here_is_refused(api: TestClient, space: str, status: int) -> None:
    told = refusal(api, f"/v1/items/{UNREPORTED.hex()}?space={space}", status)
    assert told["param"] == "space"


def test_proof__of_what_the_report_does_not_name_is_refused(api: TestClient) -> None:
    assert refusal(api, f"/v1/items/{UNREPORTED.hex()}/proof", 404)["code"] == "body_not_held"


def test_proof__without_the_body_names_who_has_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    fact = HISTORY.facts[0]
    with whole_service(tmp_path_factory.mktemp("home")) as service:
        with Store.open(service.directory.store, service.directory.blobs) as store:
            store.blobs.forget(fact.header.body.body)
        with client_of(service) as api:
            name = item_id(fact.items[0]).hex()
            told = refusal(api, f"/v1/items/{name}/proof", 404)
            assert told["code"] == "body_not_held"
            assert fact.certificate.attestations[0].validator.hex()[:8] in told["message"]
            assert get(api, f"/v1/items/{name}")["text"] is None
            digest = fact.header.digest.hex()
            assert get(api, f"/v1/reports/{digest}")["body_held"] is False
            assert refusal(api, f"/v1/reports/{digest}/body", 404)["code"] == "body_not_held"


@pytest.mark.parametrize("path", ["", "/content", "/proof"])
def test_item__that_is_not_here_is_refused_with_what_to_do(api: TestClient, path: str) -> None:
    told = refusal(api, f"/v1/items/{'ab' * 32}{path}", 404)
    assert (told["param"], told["code"]) == ("item_id", "unknown_item")
    assert "POST /v1/embeddings" in told["message"]
