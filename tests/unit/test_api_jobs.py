"""Jobs: found again by the same request and after a restart, bounded in number and age."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from node.api.embedding import jobs as jobs_module
from node.api.embedding.jobs import Encoding, Job, Jobs, Served
from node.api.embedding.limits import JOB_AGE_MS_MAX
from node.api.embedding.prefer import preference_of
from node.api.errors import ApiError
from tests.support.api import client_of
from tests.support.certifier import Certifier, certifier_over, vector_of

NOW_MS = 1_800_000_000_000


@pytest.fixture
def certifier(tmp_path: Path) -> Iterator[Certifier]:
    with certifier_over(tmp_path) as certifier:
        yield certifier


def job_of(*numbers: int, created_ms: int = NOW_MS, encoding: Encoding = Encoding.FLOAT) -> Job:
    items = tuple(number.to_bytes(32, "big").hex() for number in numbers)
    return Job(encoding, items, (Served.ROUND,) * len(items), 3, created_ms)


def later(client: TestClient, given: Any, **more: Any) -> Any:
    return client.post("/v1/embeddings", json={"input": given, **more}, headers={"Prefer": "respond-async"})


def test_job__goes_from_queued_to_dealt_to_done(certifier: Certifier) -> None:
    with client_of(certifier.service) as client:
        answer = later(client, ["one", "two", "one"])
        assert answer.status_code == 202
        job = answer.json()
        assert (job["status"], job["done"], job["total"], job["response"]) == ("queued", 0, 2, None)
        place = answer.headers["location"]
        assert place == f"/v1/jobs/{job['id']}"
        certifier.certify_texts("one")
        told = client.get(place).json()
        assert (told["status"], told["done"]) == ("dealt", 1)
        certifier.certify_texts("two")
        told = client.get(place).json()
        assert (told["status"], told["done"]) == ("done", 2)
        assert [row["index"] for row in told["response"]["data"]] == [0, 1, 2]
        assert told["expires_ms"] - told["created_ms"] == JOB_AGE_MS_MAX


def test_job__survives_a_restart_and_is_that_of_the_same_request(certifier: Certifier) -> None:
    with client_of(certifier.service) as client:
        place = later(client, ["one", "two"]).headers["location"]
    with client_of(certifier.service) as client:
        assert client.get(place).json()["status"] == "queued"
        assert later(client, ["one", "two"]).headers["location"] == place
        assert later(client, ["two", "one"]).headers["location"] != place
        assert later(client, ["one", "two"], encoding_format="base64").headers["location"] != place


def test_job_with_an_item_nobody_answered__has_failed_and_says_which(certifier: Certifier) -> None:
    with client_of(certifier.service) as client:
        place = later(client, ["fine", "bad"]).headers["location"]
        certifier.certify({"fine": vector_of("fine"), "bad": None})
        job = client.get(place).json()
        assert (job["status"], job["response"]) == ("failed", None)
        assert (job["error"]["code"], job["error"]["param"]) == ("no_embedding", "input[1]")


def test_deleted_job__is_gone_and_its_items_are_not(certifier: Certifier) -> None:
    with client_of(certifier.service) as client:
        place = later(client, "one").headers["location"]
        assert client.delete(place).status_code == 204
        assert client.get(place).status_code == client.delete(place).status_code == 404
        assert len(certifier.store.pending(9)) == 1


@pytest.mark.parametrize("name", ["x", "0" * 31, "0" * 33, "G" * 32, "..%2f..%2fgenesis.json", "A" * 32])
def test_name_that_is_no_job__never_reaches_the_disk(certifier: Certifier, name: str) -> None:
    with client_of(certifier.service) as client:
        assert client.get(f"/v1/jobs/{name}").status_code in (400, 404)
        assert client.delete(f"/v1/jobs/{name}").status_code in (400, 404)


def test_path_from_outside__is_refused_by_the_folder_too(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path / "jobs")
    for name in ("../secret", "", "0" * 33, "é" * 32):
        with pytest.raises(ApiError):
            jobs.get(name, NOW_MS)


def test_jobs__are_bounded_and_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "JOBS_MAX", 5)
    jobs = Jobs(tmp_path / "jobs")
    made = [job_of(number, created_ms=NOW_MS + number) for number in range(8)]
    for job in made:
        jobs.put(job)
    kept = [job for job in made if jobs.get(job.id, NOW_MS) is not None]
    assert kept == made[-5:]


def test_old_job__is_forgotten_and_its_file_goes_with_the_next(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path / "jobs")
    old = job_of(1)
    jobs.put(old)
    path = tmp_path / "jobs" / f"{old.id}.json"
    assert jobs.get(old.id, NOW_MS + JOB_AGE_MS_MAX) == old
    assert jobs.get(old.id, NOW_MS + JOB_AGE_MS_MAX + 1) is None
    jobs.put(job_of(2, created_ms=NOW_MS + JOB_AGE_MS_MAX + 1))
    assert not path.exists()


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"encoding":"float"}', b"\xff" * 99])
def test_damaged_job__is_as_good_as_none(tmp_path: Path, damage: bytes) -> None:
    jobs = Jobs(tmp_path / "jobs")
    job = job_of(1)
    jobs.put(job)
    (tmp_path / "jobs" / f"{job.id}.json").write_bytes(damage)
    assert jobs.get(job.id, NOW_MS) is None
    jobs.put(job)
    assert jobs.get(job.id, NOW_MS) == job


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=6), st.lists(st.integers(0, 3), min_size=1, max_size=6)
)
def test_job_id__tells_requests_apart(one: list[int], other: list[int]) -> None:
    assert (job_of(*one).id == job_of(*other, created_ms=5).id) == (one == other)
    assert job_of(*one).id != job_of(*one, encoding=Encoding.BASE64).id


@pytest.mark.parametrize(
    ("header", "wait_ms", "asynchronous"),
    [
        ("", 1_000, False),
        ("respond-async", 0, True),
        ("Respond-Async, WAIT=5", 5_000, True),
        ("wait=3;foo=bar", 3_000, False),
        ("wait=3, wait=9", 3_000, False),
        ("wait=-1, wait=, wait=x, wait=9999999", 1_000, False),
        ("handling=lenient", 1_000, False),
    ],
)
def test_prefer__is_read_as_the_rfc_says(header: str, wait_ms: int, asynchronous: bool) -> None:
    wish = preference_of(header)
    assert (wish.wait_ms(1_000), wish.asynchronous) == (wait_ms, asynchronous)


@given(st.text("wait=respond-async,; 0123456789", max_size=40))
def test_prefer__of_any_text_is_harmless(header: str) -> None:
    assert preference_of(header).wait_ms(7) >= 0
