"""The API over a whole store: certified rounds with bodies and answers, a second epoch, and findings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from httpx import Response

from node.api.app import ROUTERS
from node.api.service import Service
from node.bundle import named_answers
from node.epochs.history import keep_epoch
from node.status import PeerStatus
from node.store import DisputeRecord, EmbeddingRecord, EvidenceRecord, StatementRecord, StepRecord, Store
from protocol.codec import encode
from protocol.epochs.known import Epochs
from protocol.epochs.transition import next_epoch, no_inputs
from protocol.evidence import equivocation
from protocol.hashing import digest
from protocol.items import canonical_text, item_id
from protocol.messages import (
    Attestation,
    AttestationRef,
    Body,
    Dispute,
    EpochCertificate,
    Evidence,
    Report,
)
from protocol.rounds.effects import Purpose
from protocol.schedule import ShardRound
from protocol.signatures import sign
from protocol.statement import Statement, assemble, statement_digest
from tests.support.api import client_of, service_over, status_of
from tests.support.certified_history import certified_history

HISTORY = certified_history()
NETWORK_ID = HISTORY.genesis.network_id
WAITING = canonical_text("what a user of this network waits for")
UNREPORTED = digest("test-unreported")
"""An item with an embedding in round 5 whose report does not name it: a damaged store."""
UNANSWERED = digest("test-unanswered")
"""An item that round 5 certified without an embedding."""
VECTOR = np.random.default_rng(7).normal(size=1024).astype("<f4")
AT = ShardRound(0, 4, 0)
LYING, DISPUTER = HISTORY.validators[0], HISTORY.validators[1]
DISPUTED = Dispute(AT, HISTORY.facts[4].header.digest, "weight", HISTORY.encoders[0].key, 5_000, "too much")
PEERS = tuple(
    PeerStatus(one.key.hex(), role, f"/ip4/192.0.2.{n}/tcp/7700", True, 1_000 + n, 0.5)
    for role, people in (("validator", HISTORY.validators[1:]), ("encoder", HISTORY.encoders))
    for n, one in enumerate(people)
)
STEP = StepRecord(
    4, 0, "wave", 2, 120, (HISTORY.encoders[0].key,), (HISTORY.encoders[1].key,), "one is late", 1_234
)


def say(who: Any, body: Body) -> Statement[Body]:
    """A signed statement of a member."""
    return assemble(NETWORK_ID, who.key, body, sign(who.seed, statement_digest(NETWORK_ID, who.key, body)))


def two_faced() -> Evidence:
    """Evidence that LYING attested two reports of one shard-round."""
    first, second = (say(LYING, Attestation(AT, digest(name))) for name in ("one", "other"))
    return equivocation(first, second)


@contextmanager
def whole_api(root: Path) -> Iterator[TestClient]:
    """A client of a validator that holds all there can be."""
    with whole_service(root) as service, client_of(service) as client:
        yield client


@contextmanager
def whole_service(root: Path) -> Iterator[Service]:
    """The service of such a validator."""
    with service_over(root, HISTORY, status_of(HISTORY, peers=PEERS)) as service:
        with Store.open(service.directory.store, service.directory.blobs) as store:
            _fill(store)
        yield service


def _fill(store: Store) -> None:
    for fact in HISTORY.facts:
        store.put_blob(encode(fact.body), fact.at.round, Purpose.REPORT)
        # Of the newest round only: this node got the others when they were over.
        if fact is HISTORY.facts[-1]:
            for name in named_answers(encode(fact.body), NETWORK_ID):
                store.put_blob(HISTORY.answers[name], fact.at.round, Purpose.REVEAL)
    store.submit_item(item_id(WAITING), WAITING, modality="text", source="api", submitted_ms=5)
    store.record_embeddings([EmbeddingRecord(UNREPORTED, 5, 0, 8, 0, VECTOR.tobytes())])
    store.mark_certified([UNANSWERED], 5)
    store.record_step(STEP)
    dispute, evidence = say(DISPUTER, DISPUTED), say(DISPUTER, two_faced())
    store.put_dispute(DisputeRecord(dispute.digest, 4, 0, DISPUTER.key, dispute.data, 77))
    store.put_dispute(DisputeRecord(digest("damaged"), 4, 0, LYING.key, b"damaged", 78))
    store.put_evidence(EvidenceRecord(evidence.digest, LYING.key, "equivocation", evidence.data, 79))
    header: Statement[Report] = HISTORY.facts[4].header
    store.put_statement(
        StatementRecord(header.digest, 0, 4, 0, "report", header.signer, header.data, 1),
    )
    epochs = Epochs(HISTORY.genesis)
    epochs.add(next_epoch(epochs.newest, epochs, no_inputs(1), ()))
    votes = tuple(AttestationRef(key, bytes(64)) for key in sorted(HISTORY.genesis.validators)[:3])
    keep_epoch(store, epochs.newest, EpochCertificate(ShardRound(0, 3, 0), 1, epochs.newest.digest, votes))


_MODELS = {
    route.path: route.response_model
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, APIRoute) and route.response_model is not None
}


def get(api: TestClient, path: str) -> Any:
    """A JSON answer, which is one of the model its route declares."""
    answered = api.get(path)
    assert answered.status_code == 200, answered.text
    route = next(r for router in ROUTERS for r in router.routes if _serves(r, path.split("?")[0]))
    _MODELS[route.path].model_validate_json(answered.content)  # type: ignore[attr-defined]
    return json.loads(answered.content, parse_constant=_refuse)


def _serves(route: Any, path: str) -> bool:
    return isinstance(route, APIRoute) and route.path_regex.fullmatch(path) is not None


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def refusal(api: TestClient, path: str, status: int) -> Any:
    """The error an address is refused with."""
    return error_in(api.get(path), status)


def error_in(answered: Response, status: int) -> Any:
    """The error of an answer."""
    assert answered.status_code == status, answered.text
    (name,) = answered.json()
    assert name == "error"
    error = answered.json()[name]
    assert set(error) == {"message", "type", "param", "code"}
    return error
