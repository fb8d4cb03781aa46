"""Reading epochs, encoders, validators, peers, evidence and disputes over HTTP."""

from __future__ import annotations

import math
from base64 import b64decode
from collections.abc import Iterator
from types import SimpleNamespace

import msgspec
import pytest
from fastapi.testclient import TestClient

from node.api.encoder_view import encoder_of
from node.store import ScoreRecord, StatementRecord, Store
from protocol.codec import decode, encode
from protocol.epochs.agreed import CertifiedRecord
from protocol.epochs.record import RECORD_BYTES_MAX, EncoderTable, EpochRecord, record_digest, table_of
from protocol.epochs.view import Epoch
from protocol.evidence import check_evidence
from protocol.hashing import digest
from protocol.messages import Evidence, Offence, Registration
from protocol.schedule import ShardRound
from protocol.signatures import public_key
from tests.support.api import client_of
from tests.support.api_reading import (
    HISTORY,
    LYING,
    NETWORK_ID,
    PEERS,
    get,
    refusal,
    say,
    whole_api,
    whole_service,
)
from tests.support.epochs import epochs_of

FIRST = Epoch.first(HISTORY.genesis)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with whole_api(tmp_path_factory.mktemp("home")) as client:
        yield client


def test_epochs__come_newest_first_a_page_at_a_time(api: TestClient) -> None:
    told = get(api, "/v1/epochs?limit=1")
    assert ([one["epoch"] for one in told["epochs"]], told["next_before"]) == ([1], 1)
    (first,) = get(api, "/v1/epochs?before=1")["epochs"]
    assert (first["digest"], first["previous"]) == (FIRST.digest.hex(), None)
    assert (first["first_round"], first["last_round"], first["stake"]) == (0, 5, 400)
    assert get(api, "/v1/epochs?before=0") == {"epochs": [], "next_before": None}


def test_epoch__is_told_with_its_members_and_votes(api: TestClient) -> None:
    told = get(api, "/v1/epochs/1")
    assert told["previous"] == FIRST.digest.hex()
    assert [one["public_key"] for one in told["members"]] == [key.hex() for key in HISTORY.genesis.validators]
    assert {one["public_key"] for one in told["table"]} == {one.key.hex() for one in HISTORY.encoders}
    certificate = told["certificate"]
    assert (certificate["stake"], certificate["total_stake"], certificate["round"]) == (300, 400, 3)
    assert get(api, "/v1/epochs/0")["certificate"] is None


def test_epoch__in_bytes_checks_out_from_genesis(api: TestClient) -> None:
    data = api.get("/v1/epochs/1/record").content
    certified = decode(data, CertifiedRecord, size_bytes_max=2 * RECORD_BYTES_MAX)
    record = decode(certified.record, EpochRecord, size_bytes_max=RECORD_BYTES_MAX)
    assert record.previous == FIRST.digest
    assert certified.certificate.record == record_digest(NETWORK_ID, record)
    assert table_of(record, api.get("/v1/epochs/1/encoders").content).encoders
    assert api.get("/v1/epochs/0/encoders").content == encode(FIRST.table)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("2", "unknown_epoch"),
        ("2/record", "unknown_epoch"),
        ("2/encoders", "unknown_epoch"),
        ("2/means", "unknown_epoch"),
        ("0/record", "no_record"),
        ("1/means", "no_means"),
        ("1/moments", "no_moments"),
    ],
)
def test_epoch__that_is_not_here_is_refused_with_what_to_do(api: TestClient, path: str, code: str) -> None:
    told = refusal(api, f"/v1/epochs/{path}", 404)
    assert (told["param"], told["code"]) == ("number", code)
    assert ": " in told["message"]


def test_encoders__have_means_of_late_and_the_units_of_the_command_line(api: TestClient) -> None:
    told = get(api, "/v1/encoders")
    assert (told["epoch"], told["total"], told["next_after"]) == (1, 4, None)
    for one in told["encoders"]:
        assert (one["score"], one["weight"], one["rounds"], one["last_round"]) == (1.0, 0.25, 6, 5)
        assert (one["reputation"], one["stake"], one["probation"]) == (0.25, 100, False)
        assert (one["terms"], one["lof"], one["model"]) == ({"availability": 1.0}, None, None)


def test_scores__that_are_no_numbers_are_null(tmp_path_factory: pytest.TempPathFactory) -> None:
    key = HISTORY.encoders[1].key
    terms = {"leak": math.nan, "local_outlier_factor": math.inf, "differential": -math.inf, "mass": 2.0}
    told_terms = {"leak": None, "local_outlier_factor": None, "differential": None, "mass": 2.0}
    with whole_service(tmp_path_factory.mktemp("home")) as service:
        with Store.open(service.directory.store, service.directory.blobs) as store:
            store.record_scores([ScoreRecord(5, 0, key, math.inf, -math.inf, terms)])
        with client_of(service) as api:
            told = get(api, f"/v1/encoders/{key.hex()}?rounds=1")
            assert (told["score"], told["weight"], told["lof"]) == (None, None, None)
            assert told["terms"] == told["history"][0]["terms"] == told_terms
            scores = get(api, "/v1/rounds/5")["shards"][0]["scores"]
            (one,) = [one for one in scores if one["encoder"] == key.hex()]
            assert (one["score"], one["weight"], one["terms"]) == (None, None, told_terms)


def test_encoder__that_registered_says_what_it_runs(tmp_path_factory: pytest.TempPathFactory) -> None:
    newcomer = SimpleNamespace(seed=digest("test-newcomer"), key=public_key(digest("test-newcomer")))
    registration = say(newcomer, Registration(ShardRound(1, 6, 0), "a model", (), bytes(32)))
    with whole_service(tmp_path_factory.mktemp("home")) as service:
        with Store.open(service.directory.store, service.directory.blobs) as store:
            kept = StatementRecord(
                registration.digest, 1, 6, 0, "registration", newcomer.key, registration.data, 1
            )
            store.put_statement(kept)
        epoch = service.epochs.of(0)
        first = epoch.table.encoders[0]
        states = (*epoch.table.encoders, msgspec.structs.replace(first, public_key=newcomer.key))
        table = EncoderTable(tuple(sorted(states, key=lambda state: state.public_key)))
        told = encoder_of(service, Epoch(HISTORY.genesis, epoch.record, table), newcomer.key)
        assert (told.model, told.score, told.rounds, told.last_round) == (None, None, 0, None)
        record = msgspec.structs.replace(epoch.record, epoch=1)
        told = encoder_of(service, Epoch(HISTORY.genesis, record, table), newcomer.key)
        assert told.model == "a model"


def test_encoder__is_told_round_by_round(api: TestClient) -> None:
    key = HISTORY.encoders[2].key.hex()
    told = get(api, f"/v1/encoders/{key}?rounds=4")
    assert [one["round"] for one in told["history"]] == [5, 4, 3, 2]
    assert {(one["score"], one["epoch"]) for one in told["history"]} == {(1.0, 0)}
    assert refusal(api, f"/v1/encoders/{LYING.key.hex()}", 404)["code"] == "unknown_encoder"


@pytest.mark.parametrize(("path", "names"), [("encoders", 4), ("validators", 4), ("peers", len(PEERS))])
def test_members__come_in_key_order_a_page_at_a_time(api: TestClient, path: str, names: int) -> None:
    found: list[str] = []
    after = ""
    while True:
        page = get(api, f"/v1/{path}?limit=3{after}")
        found += [one["public_key"] for one in page[path]]
        if page["next_after"] is None:
            break
        after = f"&after={page['next_after']}"
    assert found == sorted(set(found))
    assert len(found) == page["total"] == names


def test_validators__say_who_is_connected(api: TestClient) -> None:
    told = get(api, "/v1/validators")
    assert {one["public_key"] for one in told["validators"] if one["connected"]} == {
        one.key.hex() for one in HISTORY.validators
    }
    assert (told["total_stake"], {one["stake"] for one in told["validators"]}) == (400, {100})


def test_peers__before_the_nodes_first_word_are_asked_for_again(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with whole_service(tmp_path_factory.mktemp("home")) as service:
        object.__setattr__(service, "status", lambda: None)
        with client_of(service) as api:
            answered = api.get("/v1/peers")
            assert (answered.status_code, answered.headers["retry-after"]) == (503, "1")
            assert get(api, "/v1/validators")["total"] == 4


def test_evidence__convicts_whoever_reads_it(api: TestClient) -> None:
    (told,) = get(api, "/v1/evidence")["evidence"]
    assert (told["offender"], told["kind"]) == (LYING.key.hex(), "equivocation")
    assert {one["kind"] for one in told["statements"]} == {"attestation"}
    statements = tuple(b64decode(one["envelope"]) for one in told["statements"])
    rebuilt = Evidence(Offence(told["kind"]), statements)
    assert check_evidence(epochs_of(HISTORY.genesis), rebuilt) == LYING.key
    assert get(api, f"/v1/evidence?offender={LYING.key.hex()}")["evidence"] == [told]
    assert get(api, f"/v1/evidence?offender={'00' * 32}")["evidence"] == []


def test_disputes__come_newest_first_a_page_at_a_time(api: TestClient) -> None:
    first = get(api, "/v1/disputes?limit=1")
    (newest,) = first["disputes"]
    assert newest["term"] is None, "the damaged one came last"
    (other,) = get(api, f"/v1/disputes?before={first['next_before']}")["disputes"]
    assert (other["term"], other["received_ms"]) == ("weight", 77)
    assert len(get(api, "/v1/disputes?round=4")["disputes"]) == 2
    assert get(api, "/v1/disputes?round=3")["disputes"] == []
