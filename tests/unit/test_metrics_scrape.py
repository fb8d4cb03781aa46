"""Scraping a validator: over its API, with what cannot be read left out, whatever clients send."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from node.api.service import Service
from node.clock import now_ms
from node.metrics.registry import NodeMetrics
from node.metrics.validator import ValidatorMetrics
from node.status import PeerStatus
from node.store import EvidenceRecord, StatementRecord, Store, StoreError
from protocol.hashing import digest
from tests.support.api import guarded_client, service_over, status_of
from tests.support.measured import AT, HISTORY, record_terms, series_of, value_of

VALIDATORS = [person.key for person in HISTORY.validators]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with service_over(tmp_path, HISTORY) as service:
        yield service


@pytest.fixture
def client(service: Service) -> TestClient:
    return guarded_client(service)


@pytest.fixture
def writer(service: Service) -> Iterator[Store]:
    with Store.open(service.directory.store, service.directory.blobs) as store:
        yield store


def scrape(client: TestClient) -> str:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    return answer.text


def test_scrape__is_prometheus_text_that_nobody_caches(client: TestClient) -> None:
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert answer.headers["cache-control"] == "no-store"
    assert series_of(answer.text)["deltamesh_build_info"]["role"] == {"validator"}


def test_requests__are_counted_by_the_template_of_their_route(client: TestClient) -> None:
    for round_ in range(3):
        client.get(f"/v1/rounds/{round_}")
    text = scrape(client)
    labels = {"route": "/v1/rounds/{number}", "method": "GET", "status": "2xx"}
    routes = series_of(text)["deltamesh_http_requests_total"]["route"]
    (template,) = [route for route in routes if route.startswith("/v1/rounds/")]
    assert "{" in template
    assert value_of(text, "deltamesh_http_requests_total", **{**labels, "route": template}) == 3
    assert value_of(text, "deltamesh_http_response_start_seconds_count", route=template) == 3


@pytest.mark.parametrize("method", ["GET", "POST", "BREW"])
def test_strange_requests__add_no_label_of_the_clients_making(client: TestClient, method: str) -> None:
    for number in range(20):
        client.request(method, f"/nothing/{number}")
    found = series_of(scrape(client))["deltamesh_http_requests_total"]
    assert found["route"] == {"unmatched" if method == "GET" else "refused"}
    assert found["method"] == {method if method != "BREW" else "other"}
    assert found["status"] == {"4xx"}


def test_requests_that_a_guard_refuses__are_counted_with_no_route(client: TestClient) -> None:
    for host in ("evil.example", "other.example"):
        assert client.get("/v1/status", headers={"host": host}).status_code == 421
    text = scrape(client)
    assert value_of(text, "deltamesh_http_requests_total", route="refused", method="GET", status="4xx") == 2
    assert "example" not in text


def test_peers__are_counted_by_role_and_their_stake_as_connected(tmp_path: Path) -> None:
    others = [("validator", VALIDATORS[1]), ("validator", VALIDATORS[2]), ("guest", b"g" * 32)]
    peers = tuple(PeerStatus(key.hex(), role, "/ip4/1.2.3.4", True, 0, 0.0) for role, key in others)
    told = status_of(HISTORY, peers=peers, counters={"wire.bytes_in": 7})
    with service_over(tmp_path, HISTORY, told) as service:
        text = scrape(guarded_client(service))
    assert value_of(text, "deltamesh_peers", role="validator") == 2
    assert value_of(text, "deltamesh_peers", role="guest") == 1
    assert value_of(text, "deltamesh_validator_stake", presence="connected") == 300
    assert value_of(text, "deltamesh_validator_stake", presence="absent") == 100
    assert value_of(text, "deltamesh_wire_bytes_total", direction="in") == 7
    assert "1.2.3.4" not in text
    assert VALIDATORS[1].hex()[:8] not in text


def test_newest_round__shows_scores_weights_and_terms(client: TestClient, writer: Store) -> None:
    record_terms(writer)
    text = scrape(client)
    assert value_of(text, "deltamesh_scored_encoders", weight="none") == 1
    assert value_of(text, "deltamesh_scored_encoders", weight="some") == 3
    assert value_of(text, "deltamesh_score", statistic="median") == pytest.approx(0.3)
    assert value_of(text, "deltamesh_weight_ratio", statistic="max") == pytest.approx(0.5)
    lof = {"term": "local_outlier_factor"}
    assert value_of(text, "deltamesh_score_term", statistic="max", **lof) == 3.5


def test_terms_that_are_not_numbers__are_left_out_of_the_statistics(
    client: TestClient, writer: Store
) -> None:
    record_terms(writer)
    scores = writer.scores_of(AT.round, AT.shard)
    strange = {"local_outlier_factor": float("inf"), "leak": float("nan"), "live": 1.0}
    writer.record_scores(replace(score, terms=strange) for score in scores)
    found = series_of(scrape(client))["deltamesh_score_term"]
    assert found.get("term", set()) == set()


def test_attested_stake__counts_votes_that_came_after_the_certificate(
    client: TestClient, writer: Store
) -> None:
    before = HISTORY.facts[-2].at
    certified = {vote.validator for vote in HISTORY.facts[-2].certificate.attestations}
    assert value_of(scrape(client), "deltamesh_attested_ratio") == len(certified) / 4
    (late,) = set(VALIDATORS) - certified
    name = digest("late", late)
    writer.put_statement(
        StatementRecord(name, before.epoch, before.round, before.shard, "attestation", late, b"", now_ms())
    )
    assert value_of(scrape(client), "deltamesh_attested_ratio") == 1


def test_evidence__is_counted_once_however_often_it_is_scraped(client: TestClient, writer: Store) -> None:
    for number, kind in enumerate(("equivocation", "equivocation", "false-reveal")):
        writer.put_evidence(EvidenceRecord(digest("e", bytes([number])), b"o" * 32, kind, b"", now_ms()))
        scrape(client)
    text = scrape(client)
    assert value_of(text, "deltamesh_evidence_total", offence="equivocation") == 2
    assert value_of(text, "deltamesh_evidence_total", offence="false-reveal") == 1
    assert value_of(text, "deltamesh_evidence_total", offence="wrong-preimage") == 0


def test_silent_loop__shows_in_the_age_of_its_status(tmp_path: Path) -> None:
    with service_over(tmp_path, HISTORY, status_of(HISTORY, updated_ms=now_ms() - 60_000)) as service:
        age_s = value_of(scrape(guarded_client(service)), "deltamesh_status_age_seconds")
    assert age_s is not None
    assert 60 <= age_s < 90


def test_store_that_fails__costs_its_metrics_and_no_others(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise StoreError("the disk is gone")

    client = guarded_client(service)
    monkeypatch.setattr(service.store, "last_certified", fail)
    assert "deltamesh_certified_timestamp_seconds" not in scrape(client)
    text = scrape(client)
    assert value_of(text, "deltamesh_collect_failures_total") == 1, "of the scrape before"
    assert value_of(text, "deltamesh_epoch") == 0
    assert value_of(text, "deltamesh_disk_bytes") is not None


def test_several_scrapes_at_once__are_all_whole(service: Service) -> None:
    measured = ValidatorMetrics()
    measured.read_service(service)
    texts: list[bytes] = []
    threads = [threading.Thread(target=lambda: texts.append(measured.exposition())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = [set(series_of(text.decode())) for text in texts]
    assert len(names) == 8
    assert all(name == names[0] for name in names)


def test_nodes__share_no_metric() -> None:
    one, other = NodeMetrics("validator"), NodeMetrics("encoder")
    one.queues.watch("driver", lambda: 7, 8)
    assert b'deltamesh_queue_length{queue="driver"}' in one.exposition()
    assert b'deltamesh_queue_length{queue="driver"}' not in other.exposition()


def test_queue__that_the_catalogue_does_not_know_is_a_fault_of_ours() -> None:
    with pytest.raises(AssertionError, match="no queue of the catalogue"):
        NodeMetrics("validator").queues.watch("pears", lambda: 0)
