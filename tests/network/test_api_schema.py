"""The OpenAPI document against the server: generated requests meet no fault, answers are as described."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from node.api.guard.limits import Limits, Rate
from tests.support.api import service_over
from tests.support.api_server import api

pytestmark = [pytest.mark.slow, pytest.mark.network]

EXAMPLES = 10
"""Valid requests to each endpoint, and as many that are not."""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ENDLESS = ("/v1/events",)
HEALTH = ("/healthz", "/readyz")
"""503 is an answer of theirs, described as one: nothing updates the status of this node."""
UNBOUNDED = Rate(1e6, 1_000_000)
ANSWERED_WITHIN_S = 60
"""The first search starts a process, on a busy machine."""
WAITS_FOR_NO_ROUND = {"Prefer": "respond-async"}
"""Embeddings of new items would wait, and nobody certifies them here."""


def faults_of(operation: Any, mode: GenerationMode) -> list[str]:
    """What one endpoint does that the document does not say."""

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Any) -> None:
        headers = WAITS_FOR_NO_ROUND if case.path == "/v1/embeddings" else None
        if case.path == "/v1/search" and isinstance(case.body, dict) and "certified" in case.body:
            case.body["certified"] = False  # it would wait for a round
        checks = CHECKS[1:] if case.path in HEALTH else CHECKS
        case.call_and_validate(headers=headers, checks=checks, timeout=ANSWERED_WITHIN_S)

    try:
        check()
    except Unsatisfiable:
        return []  # without parameters there is no wrong request
    except (Exception, BaseExceptionGroup) as error:
        parts = error.exceptions if isinstance(error, BaseExceptionGroup) else (error,)
        return [f"{operation.label}, {mode.value}: {part}" for part in parts]
    return []


@pytest.mark.timeout(600)
def test_endpoints__answer_any_request_as_the_document_says(tmp_path: Path) -> None:
    with service_over(tmp_path) as service, api(service, Limits(local=UNBOUNDED)) as (host, port):
        schema = schemathesis.openapi.from_url(f"http://{host}:{port}/openapi.json")
        operations = [found.ok() for found in schema.get_all_operations()]
        faults = [
            fault
            for operation in operations
            if operation.path not in ENDLESS
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
            for fault in faults_of(operation, mode)
        ]
    assert len(operations) > 15
    assert not faults, "\n\n".join(faults)
