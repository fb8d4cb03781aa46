"""The HTTP API over a store of certified rounds, without a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi.testclient import TestClient

from config.datadir import DataDir
from config.genesis import save_genesis
from config.settings import load_settings
from node.api.app import make_app, make_guarded_app
from node.api.service import Service, open_service
from node.clock import now_ms
from node.metrics.validator import ValidatorMetrics
from node.status import NodeStatus
from node.store import Store
from tests.support.certified_history import History, certified_history, record
from tests.support.publishing import PublishingHub

NETWORK = "localnet"


def status_of(history: History, **changes: object) -> NodeStatus:
    """The status of the first validator of a network that runs."""
    facts = {
        "role": "validator",
        "public_key": history.validators[0].key.hex(),
        "network_id": history.genesis.network_id.hex(),
        "pid": 1,
        "version": "0.0.0",
        "started_ms": now_ms(),
        "updated_ms": now_ms(),
        "round": len(history.facts),
        "phase": "running",
        "api": "127.0.0.1:7780",
    }
    return NodeStatus(**{**facts, **changes})  # type: ignore[arg-type]


@contextmanager
def service_over(
    root: Path, history: History | None = None, status: NodeStatus | None = None, **settings: object
) -> Iterator[Service]:
    """The service of a validator that holds every round of a history."""
    history = history or certified_history()
    directory = DataDir.open(root, NETWORK)
    save_genesis(directory.genesis, history.genesis)
    with Store.open(directory.store, directory.blobs) as store:
        for fact in history.facts:
            record(store, history, fact)
    told = status or status_of(history)
    checked = load_settings({"home": root, "network": NETWORK, **settings}, environment={})
    with open_service(
        history.genesis, checked, directory, PublishingHub(), lambda: told, lambda: None
    ) as service:
        yield service


@contextmanager
def api_over(
    root: Path, history: History | None = None, status: NodeStatus | None = None, **settings: object
) -> Iterator[TestClient]:
    """A client of the API over such a service; errors inside the API are raised here."""
    with service_over(root, history, status, **settings) as service, client_of(service) as client:
        yield client


def guarded_client(service: Service, measured: ValidatorMetrics | None = None) -> TestClient:
    """A client of the API as it is served: behind its guards, its requests counted."""
    return TestClient(make_guarded_app(service, measured), base_url="http://127.0.0.1:7780")


def client_of(service: Service) -> TestClient:
    """A client of the API over a service."""
    return TestClient(make_app(service), base_url="http://127.0.0.1:7780")
