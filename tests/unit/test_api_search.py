"""Search and map over HTTP: a real search process over a store of certified rounds, and hostile requests."""

from __future__ import annotations

import base64
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Barrier, Thread
from time import sleep
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from node.api.events import Kind
from node.api.models.search import vector_bytes
from node.search_process import SearchProcess, client
from node.store import ItemState, Store
from tests.support.api import client_of, service_over
from tests.support.certified_history import ITEMS, History, certified_history
from tests.support.publishing import publish
from tests.support.searchable import certified_vectors, give_vectors, record_with_vectors

HISTORY = certified_history()
VECTORS = certified_vectors(HISTORY)
FOLLOWS_WITHIN_S = 60.0
ALL = len(HISTORY.facts) * ITEMS


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    root = tmp_path_factory.mktemp("home")
    with service_over(root, HISTORY) as service, client_of(service) as http:
        with Store.open(service.directory.store, service.directory.blobs) as store:
            give_vectors(store, HISTORY)
        http.service = service  # type: ignore[attr-defined]
        yield http


def asked(api: TestClient, **body: Any) -> Any:
    return api.post("/v1/search", json=body)


def test_vector_of_an_item__finds_it_first_as_list_and_as_base64(api: TestClient) -> None:
    for name, vector in list(VECTORS.items())[::11]:
        listed = asked(api, vector=vector.tolist(), k=3)
        packed = asked(api, vector=base64.b64encode(vector.tobytes()).decode(), k=3)
        assert listed.status_code == 200, listed.text
        assert listed.json() == packed.json()
        assert listed.json()["neighbours"][0]["item_id"] == name.hex()
        assert len(listed.json()["neighbours"]) == 3
        assert (listed.json()["certified"], listed.json()["model"]) == (False, None)


def test_item__has_neighbours_with_certificates_that_the_store_knows(api: TestClient) -> None:
    name = next(iter(VECTORS)).hex()
    answer = asked(api, item_id=name, k=100).json()
    assert (answer["certified"], answer["searched"], answer["method"]) == (True, ALL - 1, "exact")
    digests = {fact.at.round: fact.header.digest.hex() for fact in HISTORY.facts}
    assert all(one["certificate"] == digests[one["round"]] for one in answer["neighbours"])
    assert name not in [one["item_id"] for one in answer["neighbours"]]


def test_text_of_an_item__is_certified_and_another_is_not(api: TestClient) -> None:
    text = asked(api, vector=next(iter(VECTORS.values())).tolist(), k=1).json()["neighbours"][0]["preview"]
    known = asked(api, text=text, k=1).json()
    assert (known["certified"], known["model"], known["neighbours"][0]["preview"]) == (True, None, text)
    other = asked(api, text="a question that no item asks", k=2)
    assert other.status_code == 200, other.text
    assert (other.json()["certified"], other.json()["model"]) == (
        False,
        HISTORY.genesis.parameters.reference_encoder,
    )


def test_filters__leave_out_other_rounds(api: TestClient) -> None:
    vector = next(iter(VECTORS.values())).tolist()
    found = asked(api, vector=vector, k=100, filters={"from_round": 2, "to_round": 4}).json()
    assert {one["round"] for one in found["neighbours"]} == {2, 3}
    nothing = asked(api, vector=vector, filters={"from_round": 1_000}).json()
    assert (nothing["neighbours"], nothing["searched"], nothing["space"]) == ([], 0, None)


def test_map__has_the_hits_of_a_search(api: TestClient) -> None:
    drawn = api.get("/v1/map").json()
    assert (drawn["items"], len(drawn["points"]), drawn["space"]) == (ALL, ALL, "epoch 0")
    hits = [one["item_id"] for one in asked(api, item_id=next(iter(VECTORS)).hex(), k=5).json()["neighbours"]]
    some = api.get("/v1/map", params={"item_id": hits}).json()["points"]
    assert [one["item_id"] for one in some] == hits
    places = {one["item_id"]: one for one in drawn["points"]}
    assert some == [places[one] for one in hits]


NAN = base64.b64encode(struct.pack("<f", float("nan")) * 1024).decode()
HOSTILE: dict[str, tuple[dict[str, Any], int]] = {
    "nothing": ({}, 400),
    "two probes": ({"text": "a", "item_id": "0" * 64}, 400),
    "unknown name": ({"text": "a", "and": 1}, 400),
    "k of zero": ({"text": "a", "k": 0}, 400),
    "huge k": ({"text": "a", "k": 10**30}, 400),
    "k in words": ({"text": "a", "k": "7"}, 400),
    "short vector": ({"vector": [1.0] * 1023}, 400),
    "long vector": ({"vector": [1.0] * 1025}, 400),
    "zero vector": ({"vector": [0] * 1024}, 400),
    "vector of words": ({"vector": ["1"] * 1024}, 400),
    "vector of truths": ({"vector": [True] * 1024}, 400),
    "vector of lists": ({"vector": [[]] * 1024}, 400),
    "vector over float32": ({"vector": [1e300] * 1024}, 400),
    "vector of a huge integer": ({"vector": [10**400] + [1] * 1023}, 400),
    "vector of an object": ({"vector": {"0": 1}}, 400),
    "no base64": ({"vector": "%" * 5464}, 400),
    "short base64": ({"vector": "AAAA"}, 400),
    "base64 of NaN": ({"vector": NAN}, 400),
    "base64 of letters beyond it": ({"vector": "é" * 5464}, 400),
    "empty text": ({"text": ""}, 400),
    "blank text": ({"text": " \n\t "}, 400),
    "long text": ({"text": "a" * 20_000}, 400),
    "text of a zero": ({"text": "\x00"}, 400),
    "id of another length": ({"item_id": "ab"}, 400),
    "path for an id": ({"item_id": "../../etc/passwd"}, 400),
    "id with a line break": ({"item_id": "0" * 63 + "\n"}, 400),
    "unknown id": ({"item_id": "0" * 64}, 404),
    "space in words": ({"text": "a", "space": "oldest"}, 400),
    "negative space": ({"text": "a", "space": "-1"}, 400),
    "unknown space": ({"text": "a", "space": "123456789012345"}, 404),
    "negative round": ({"text": "a", "filters": {"from_round": -1}}, 400),
    "round beyond SQLite": ({"text": "a", "filters": {"to_round": 2**64}}, 400),
    "source with a wildcard": ({"text": "a", "filters": {"source": "%%%%"}}, 400),
    "unknown filter": ({"text": "a", "filters": {"sql": "1"}}, 400),
    "certified vector": ({"vector": [1.0] * 1024, "certified": True}, 400),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_search__is_told_what_is_wrong(api: TestClient, name: str) -> None:
    body, status = HOSTILE[name]
    answer = asked(api, **body)
    assert answer.status_code == status, answer.text
    message = answer.json()["error"]["message"]
    assert 10 < len(message) < 500
    assert str(api.service.directory.root) not in message  # type: ignore[attr-defined]
    assert "Traceback" not in message


def test_refusal__is_in_plain_words_and_names_an_address_that_is_served(api: TestClient) -> None:
    message = asked(api, k=2).json()["error"]["message"]
    assert message == ("give one of text, item_id and vector, not none: /openapi.json lists what is taken")
    assert api.get(message.rpartition(": ")[2].split()[0]).status_code == 200


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none__are_refused(api: TestClient, constant: str) -> None:
    body = '{"vector": [' + ",".join([constant] * 1024) + "]}"
    answer = api.post("/v1/search", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert "finite" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=0", 400),
        ("limit=5001", 400),
        ("limit=x", 400),
        ("space=..", 400),
        ("space=99", 404),
        ("item_id=zz", 400),
        ("&".join(["item_id=" + "0" * 64] * 51), 400),
    ],
)
def test_hostile_map__is_told_what_is_wrong(api: TestClient, query: str, status: int) -> None:
    answer = api.get(f"/v1/map?{query}")
    assert (answer.status_code, "error" in answer.json()) == (status, True), answer.text


def test_certificates__are_followed_while_the_search_runs(tmp_path: Path) -> None:
    first = History(HISTORY.genesis, HISTORY.validators, HISTORY.encoders, HISTORY.facts[:2])
    with service_over(tmp_path, first) as service, client_of(service) as http:
        with Store.open(service.directory.store, service.directory.blobs) as store:
            give_vectors(store, HISTORY)
            # The first look takes in what it can in a second, of a busy machine one round.
            assert mapped(http, 2 * ITEMS) == 2 * ITEMS
            # With its vectors at once: the follower looks when it likes.
            record_with_vectors(store, HISTORY, HISTORY.facts[2])
        publish(service.events, Kind.CERTIFIED, {"round": 2})
        assert mapped(http, 3 * ITEMS) == 3 * ITEMS


def mapped(api: TestClient, items: int) -> int:
    """How many items the map has, once it has so many or the time to follow is over."""
    deadline_s = time.monotonic() + FOLLOWS_WITHIN_S
    # Each look lets the follower go on.
    while (found := int(api.get("/v1/map").json()["items"])) < items and time.monotonic() < deadline_s:
        sleep(0.01)
    return found


@pytest.mark.slow
def test_certified_text__is_submitted_waited_for_and_searched_by_its_consensus(tmp_path: Path) -> None:
    first = History(HISTORY.genesis, HISTORY.validators, HISTORY.encoders, HISTORY.facts[:2])
    text = HISTORY.facts[2].items[0].decode()
    with (
        service_over(tmp_path, first) as service,
        client_of(service) as http,
        Store.open(service.directory.store, service.directory.blobs) as store,
    ):
        give_vectors(store, HISTORY)
        assert asked(http, text=text).json()["certified"] is False
        answers: list[Any] = []
        asking = Thread(target=lambda: answers.append(asked(http, text=text, certified=True, k=3)))
        asking.start()
        while service.store.item_counts()[ItemState.PENDING] == 0:
            assert asking.is_alive(), answers
        # Whoever waits may look before it is told.
        record_with_vectors(store, HISTORY, HISTORY.facts[2])
        publish(service.events, Kind.CERTIFIED, {"round": 2})
        asking.join()
        found = answers[0].json()
        assert (answers[0].status_code, found["certified"], found["model"]) == (200, True, None), found
        assert (found["neighbours"][0]["preview"], found["neighbours"][0]["round"]) == (text, 2)


@pytest.mark.slow
def test_process_that_died__is_started_again(api: TestClient) -> None:
    search: SearchProcess = api.service.search  # type: ignore[attr-defined]
    assert asked(api, item_id=next(iter(VECTORS)).hex()).status_code == 200
    before = search.pid
    os.kill(before, 9)
    answers = [asked(api, item_id=next(iter(VECTORS)).hex()) for _ in range(2)]
    assert {one.status_code for one in answers} <= {200, 503}
    assert answers[1].status_code == 200
    assert search.pid not in (0, before)


def test_more_searches_than_places__are_told_to_come_back(
    api: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    search: SearchProcess = api.service.search  # type: ignore[attr-defined]
    waiting = Barrier(client.WAITING_MAX + 1)
    codes: list[int] = []

    def one() -> None:
        # Each holds its place until the turn that the test holds is free.
        waiting.wait()
        codes.append(asked(api, item_id=next(iter(VECTORS)).hex()).status_code)

    threads = [Thread(target=one) for _ in range(client.WAITING_MAX)]
    with search._turn:
        for thread in threads:
            thread.start()
        waiting.wait()
        # All places are taken once the last of them is: until then there is one for us.
        # To try one would take the last from whoever comes just then.
        while search._places._value:
            sleep(0.001)
        refused = asked(api, text="a")
    for thread in threads:
        thread.join()
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert codes == [200] * client.WAITING_MAX


def test_nobody_searches__and_no_process_runs(tmp_path: Path) -> None:
    with service_over(tmp_path, HISTORY) as service:
        publish(service.events, Kind.CERTIFIED, {"round": 2})
        assert service.search.pid == 0
        assert not service.directory.search.exists()


@pytest.mark.slow
def test_closed_service__leaves_no_process(tmp_path: Path) -> None:
    with service_over(tmp_path, HISTORY) as service, client_of(service) as http:
        assert http.get("/v1/map").status_code == 200
        pid = service.search.pid
        assert pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_vectors__are_float32_to_the_bit(api: TestClient) -> None:
    row = np.random.default_rng(5).normal(size=1024).astype("<f4")
    assert vector_bytes(row.tolist()) == vector_bytes(base64.b64encode(row).decode()) == row.tobytes()
