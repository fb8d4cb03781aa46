"""Reports opened and remembered within their bound."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.api.opened_reports import OpenedReports, ReportNotHeldError
from node.api.service import Service
from node.store import RoundRecord, Store
from protocol.merkle import merkle_root
from protocol.report import consensus_leaves
from tests.support.api_reading import HISTORY, whole_service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with whole_service(tmp_path_factory.mktemp("home")) as opened:
        yield opened


def record_of(service: Service, round_: int) -> RoundRecord:
    found = service.store.round(round_, 0)
    assert found is not None
    return found


def test_report__is_opened_in_batch_order(service: Service) -> None:
    reports = OpenedReports(service.store, service.epochs)
    for fact in HISTORY.facts:
        opened = reports.open(record_of(service, fact.at.round))
        assert opened.items == fact.items
        leaves = consensus_leaves(fact.items, fact.body.scores.consensus)
        assert opened.tree.root == merkle_root(leaves) == fact.header.body.consensus_root


def test_reports__are_opened_once_and_the_oldest_closed_first(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = OpenedReports(service.store, service.epochs).open(record_of(service, 0)).size_bytes
    reports = OpenedReports(service.store, service.epochs, bytes_max=3 * one + one // 2)
    read: list[bytes] = []
    get = type(service.store.blobs).get
    monkeypatch.setattr(
        type(service.store.blobs), "get", lambda self, name: read.append(name) or get(self, name)
    )
    for round_ in (0, 1, 2, 0, 3, 0, 1):
        reports.open(record_of(service, round_))
    bodies = [HISTORY.facts[round_].header.body.body for round_ in (0, 1, 2, 3, 1)]
    assert read == bodies, "0 stayed as it was asked for again, 1 was closed for 3"
    assert len(reports._opened) == 3


def test_report__larger_than_the_bound_is_opened_all_the_same(service: Service) -> None:
    reports = OpenedReports(service.store, service.epochs, bytes_max=1)
    for round_ in (0, 1):
        assert reports.open(record_of(service, round_)).items
    assert len(reports._opened) == 1


def test_report__whose_body_is_another_is_refused(tmp_path: Path) -> None:
    with whole_service(tmp_path) as service:
        body = HISTORY.facts[0].header.body.body
        with Store.open(service.directory.store, service.directory.blobs) as store:
            path = store.blobs._path(body)
            path.write_bytes(path.read_bytes()[:-1] + b"\1")
        with pytest.raises(ReportNotHeldError, match="body"):
            OpenedReports(service.store, service.epochs).open(record_of(service, 0))
