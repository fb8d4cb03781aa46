"""The ASGI application: routers, errors, the OpenAPI document."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp

from node.api.document import document_errors
from node.api.embedding.limits import WAITING_MAX
from node.api.errors import ErrorBody, handle_errors
from node.api.guard.limits import Limits
from node.api.guard.stack import guarded
from node.api.reading import keep_reading
from node.api.remembered import AnswerRemembered
from node.api.routes import (
    embeddings,
    encoders,
    epochs,
    events,
    findings,
    genesis,
    health,
    items,
    jobs,
    members,
    metrics,
    models,
    page,
    reports,
    rounds,
    search,
    status,
)
from node.api.service import Service
from node.metrics.requests import CountRequests, LearnRoute
from node.metrics.validator import ValidatorMetrics
from node.version import software_version

ROUTERS: Final[tuple[APIRouter, ...]] = (
    health.router,
    status.router,
    events.router,
    genesis.router,
    rounds.router,
    items.router,
    reports.router,
    epochs.router,
    encoders.router,
    members.router,
    findings.router,
    search.router,
    embeddings.router,
    jobs.router,
    models.router,
    metrics.router,
    page.router,
)

DESCRIPTION: Final = (
    "Read a network of encoders and validators, ask it for embeddings, watch it. "
    "Submitted items become public in the reports of their rounds."
)


def routed_app() -> FastAPI:
    """The API without a service: what its document tells."""
    app = FastAPI(
        title="deltamesh",
        version=software_version(),
        description=DESCRIPTION,
        # Its pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        # A path with one slash too many is another path.
        redirect_slashes=False,
        responses={
            400: {"model": ErrorBody, "description": "The request is not understood."},
            "4XX": {"model": ErrorBody, "description": "A token is missing, or a bound is passed."},
        },
    )
    handle_errors(app)
    for router in ROUTERS:
        app.include_router(router)
    document_errors(app)
    return app


def make_app(service: Service, measured: ValidatorMetrics | None = None) -> FastAPI:
    """The API over a service; what is measured of the node is served with it."""
    app = routed_app()
    app.state.service = service
    keep_reading(app, service)
    app.state.metrics = measured = measured or ValidatorMetrics()
    measured.read_service(service)
    measured.queues.watch("embeddings", lambda: _requests_waiting(app), WAITING_MAX)
    app.add_middleware(LearnRoute)
    return app


def make_guarded_app(
    service: Service, measured: ValidatorMetrics | None = None, limits: Limits | None = None
) -> ASGIApp:
    """The API behind its guards, as it is served; its requests are counted."""
    app = make_app(service, measured)
    quick = AnswerRemembered(app, app.state.reading.answers)
    # Around the guards as well: what they refuse is counted too.
    return CountRequests(guarded(quick, service, limits or Limits()), app.state.metrics.requests)


def _requests_waiting(app: FastAPI) -> int:
    """Requests for embeddings that wait for certificates; the desk is made with the first of them."""
    desk = getattr(app.state, "embedding_desk", None)
    return 0 if desk is None else int(desk.certificates.waiting)
