"""Reading rounds, reports and certificates over HTTP."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from node.bundle import decode_bundle, make_bundle
from protocol.codec import encode
from protocol.schedule import slot_start_ms
from tests.support.api_reading import (
    DISPUTED,
    DISPUTER,
    HISTORY,
    STEP,
    get,
    refusal,
    whole_api,
)

NEWEST = HISTORY.facts[-1]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with whole_api(tmp_path_factory.mktemp("home")) as client:
        yield client


def test_genesis__is_the_canonical_one(api: TestClient) -> None:
    answered = api.get("/v1/genesis")
    assert answered.content == HISTORY.genesis.data
    assert answered.headers["etag"] == f'"{HISTORY.genesis.network_id.hex()}"'


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
    assert {(one["state"], one["items"]) for one in told} == {("certified", 8)}
    assert [one["embeddings"] for one in told] == [9, 8, 8, 8, 8, 8]


def test_round__tells_scores_votes_steps_and_when_it_began(api: TestClient) -> None:
    fact = HISTORY.facts[4]
    told = get(api, "/v1/rounds/4")
    (shard,) = told["shards"]
    assert told["starts_ms"] == slot_start_ms(HISTORY.genesis, 4)
    assert shard["attestations"] == [vote.validator.hex() for vote in fact.certificate.attestations]
    assert (shard["stake"], shard["total_stake"]) == (100 * len(fact.certificate.attestations), 400)
    assert {one["encoder"] for one in shard["scores"]} == {one.key.hex() for one in HISTORY.encoders}
    assert shard["scores"][0]["terms"] == {"availability": 1.0}
    (step,) = shard["steps"]
    assert (step["step"], step["wave"], step["elapsed_ms"]) == ("wave", 2, 120)
    assert step["missing"] == [key.hex() for key in STEP.missing]


def test_round__tells_its_disputes_decoded(api: TestClient) -> None:
    dispute, damaged = get(api, "/v1/rounds/4")["shards"][0]["disputes"]
    assert dispute["disputer"] == DISPUTER.key.hex()
    assert (dispute["term"], dispute["encoder"]) == ("weight", DISPUTED.encoder.hex())
    assert (dispute["difference_ppm"], dispute["tolerance_ppm"], dispute["stake"]) == (5_000, 1_000, 100)
    assert dispute["dealer"] == HISTORY.facts[4].header.signer.hex()
    assert damaged["term"] is None
    assert damaged["detail"].startswith("unreadable")


def test_report__is_found_by_its_digest_with_body_and_certificate(api: TestClient) -> None:
    fact = HISTORY.facts[1]
    digest = fact.header.digest.hex()
    told = get(api, f"/v1/reports/{digest}")
    assert b64decode(told["header"]) == fact.header.data
    assert (told["body_held"], told["at"]) == (True, {"epoch": 0, "round": 1, "shard": 0})
    assert api.get(f"/v1/reports/{digest}/body").content == encode(fact.body)
    certificate = get(api, f"/v1/certificates/{digest.upper()}")
    assert b64decode(certificate["certificate"]) == encode(fact.certificate)
    assert (certificate["id"], certificate["total_stake"]) == (digest, 400)


def test_bundle__is_byte_for_byte_the_file_an_export_writes(api: TestClient) -> None:
    genesis, answers = HISTORY.genesis, HISTORY.answers
    answered = api.get(f"/v1/reports/{NEWEST.header.digest.hex()}/bundle")
    body, certificate = encode(NEWEST.body), NEWEST.certificate
    bundle = make_bundle(genesis, (), b"", b"", NEWEST.header, body, certificate, answers.get)
    assert answered.content == encode(bundle)
    assert answered.headers["content-length"] == str(len(answered.content))
    assert len(decode_bundle(answered.content).answers) == 3 * len(HISTORY.encoders)


def test_bundle__whose_answers_are_gone_names_who_may_have_them(api: TestClient) -> None:
    told = refusal(api, f"/v1/reports/{HISTORY.facts[0].header.digest.hex()}/bundle", 404)
    assert told["code"] == "bundle_not_held"
    voters = HISTORY.facts[0].certificate.attestations
    assert all(vote.validator.hex()[:8] in told["message"] for vote in voters)


@pytest.mark.parametrize("path", ["body", "bundle"])
def test_report__asked_for_again_is_not_sent_again(api: TestClient, path: str) -> None:
    address = f"/v1/reports/{NEWEST.header.digest.hex()}/{path}"
    first = api.get(address)
    assert "immutable" in first.headers["cache-control"]
    for told in (first.headers["etag"], f'"other", W/{first.headers["etag"]}', "*"):
        again = api.get(address, headers={"If-None-Match": told})
        assert (again.status_code, again.content) == (304, b"")
    assert api.get(address, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize("path", ["reports/{}", "reports/{}/body", "reports/{}/bundle", "certificates/{}"])
def test_report__that_is_not_here_is_refused_with_what_to_do(api: TestClient, path: str) -> None:
    told = refusal(api, "/v1/" + path.format("ab" * 32), 404)
    assert (told["type"], told["param"], told["code"]) == ("not_found", "digest", "unknown_report")
    assert "another validator" in told["message"]


def test_round__that_is_not_here_is_refused_with_what_to_do(api: TestClient) -> None:
    told = refusal(api, "/v1/rounds/6", 404)
    assert (told["param"], told["code"]) == ("number", "unknown_round")
    assert "/v1/rounds" in told["message"]
