"""The API over a whole store: certified rounds with their bodies and answers, steps, items, findings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from node.store import Store
from protocol.codec import encode
from protocol.rounds.effects import Purpose
from tests.support.api import client_of, service_over
from tests.support.certified_history import certified_history

HISTORY = certified_history()


@contextmanager
def whole_api(root: Path) -> Iterator[TestClient]:
    """A client of a validator that holds the reports' bodies too."""
    with service_over(root, HISTORY) as service:
        with Store.open(service.directory.store, service.directory.blobs) as store:
            for fact in HISTORY.facts:
                store.put_blob(encode(fact.body), fact.at.round, Purpose.REPORT)
        with client_of(service) as client:
            yield client


def refusal(api: TestClient, path: str, status: int) -> Any:
    """The error an address is refused with."""
    answered = api.get(path)
    assert answered.status_code == status, answered.text
    (name,) = answered.json()
    assert name == "error"
    return answered.json()[name]
