"""Reading rounds, reports and certificates over HTTP."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from protocol.codec import encode
from protocol.schedule import slot_start_ms
from tests.support.api_reading import HISTORY, refusal, whole_api


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with whole_api(tmp_path_factory.mktemp("home")) as client:
        yield client


def get(api: TestClient, path: str) -> Any:
    answered = api.get(path)
    assert answered.status_code == 200, answered.text
    return answered.json()


def test_rounds__come_newest_first_a_page_at_a_time(api: TestClient) -> None:
    page, told = get(api, "/v1/rounds?limit=4"), []
    while True:
        told += page["rounds"]
        if page["next_before"] is None:
            break
        page = get(api, f"/v1/rounds?limit=4&before={page['next_before']}")
    assert [(one["round"], one["report"]) for one in told] == [
        (fact.at.round, fact.header.digest.hex()) for fact in reversed(HISTORY.facts)
    ]
    assert {(one["state"], one["items"], one["embeddings"]) for one in told} == {("certified", 8, 8)}


def test_round__tells_scores_votes_and_when_it_began(api: TestClient) -> None:
    fact = HISTORY.facts[2]
    told = get(api, "/v1/rounds/2")
    (shard,) = told["shards"]
    assert told["starts_ms"] == slot_start_ms(HISTORY.genesis, 2)
    assert shard["attestations"] == [vote.validator.hex() for vote in fact.certificate.attestations]
    assert (shard["stake"], shard["total_stake"]) == (100 * len(fact.certificate.attestations), 400)
    assert {one["encoder"] for one in shard["scores"]} == {one.key.hex() for one in HISTORY.encoders}
    assert shard["scores"][0]["terms"] == {"availability": 1.0}


def test_report__is_found_by_its_digest_with_body_and_certificate(api: TestClient) -> None:
    fact = HISTORY.facts[1]
    digest = fact.header.digest.hex()
    told = get(api, f"/v1/reports/{digest}")
    assert b64decode(told["header"]) == fact.header.data
    assert (told["body_held"], told["at"]) == (True, {"epoch": 0, "round": 1, "shard": 0})
    assert api.get(f"/v1/reports/{digest}/body").content == encode(fact.body)
    certificate = get(api, f"/v1/certificates/{digest}")
    assert b64decode(certificate["certificate"]) == encode(fact.certificate)
    assert (certificate["id"], certificate["total_stake"]) == (digest, 400)


def test_report__that_is_not_here_is_refused_with_what_to_do(api: TestClient) -> None:
    for path in ("reports/{}", "reports/{}/body", "reports/{}/bundle", "certificates/{}"):
        told = refusal(api, "/v1/" + path.format("ab" * 32), 404)
        assert (told["type"], told["param"], told["code"]) == ("not_found", "digest", "unknown_report")
        assert "another validator" in told["message"]
