"""The ASGI application: routers, errors, the OpenAPI document."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, FastAPI

from node.api.errors import ErrorBody, handle_errors
from node.api.routes import events, health, page, status
from node.api.service import Service
from node.version import software_version

ROUTERS: Final[tuple[APIRouter, ...]] = (
    health.router,
    status.router,
    events.router,
    page.router,
)

DESCRIPTION: Final = (
    "Read a network of encoders and validators, ask it for embeddings, watch it. "
    "Submitted items become public in the reports of their rounds."
)


def make_app(service: Service) -> FastAPI:
    """The API over a service."""
    app = FastAPI(
        title="deltamesh",
        version=software_version(),
        description=DESCRIPTION,
        # Its pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        # A path with one slash too many is another path.
        redirect_slashes=False,
        responses={400: {"model": ErrorBody, "description": "The request is not understood."}},
    )
    app.state.service = service
    handle_errors(app)
    for router in ROUTERS:
        app.include_router(router)
    return app
