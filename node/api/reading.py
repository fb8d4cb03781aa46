"""What the reading endpoints keep beside the service: opened reports and spaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, FastAPI, Request

from node.api.errors import ApiError
from node.api.opened_reports import OpenedReports
from node.api.remembered import RememberedAnswers
from node.api.service import Service
from node.api.spaces import Spaces
from protocol.epochs.view import Epoch


@dataclass(frozen=True)
class Reading:
    """Caches, each bounded. But for `answers`, everything may be used from any thread."""

    reports: OpenedReports
    spaces: Spaces
    answers: RememberedAnswers


def keep_reading(app: FastAPI, service: Service) -> None:
    """Give an app what its reading endpoints need."""
    app.state.reading = Reading(
        OpenedReports(service.store, service.epochs),
        Spaces(service.genesis, service.store),
        RememberedAnswers(service.store, service.status),
    )


async def _reading_of(request: Request) -> Reading:
    return cast(Reading, request.app.state.reading)


ReadingOf = Annotated[Reading, Depends(_reading_of)]


def newest_epoch(service: Service) -> Epoch:
    """The newest epoch whose encoders are here. Raises StoreError."""
    return service.epochs.find(service.store.newest_epoch()) or service.epochs.of(0)


def epoch_here(service: Service, number: int) -> Epoch:
    """The epoch, without its encoders where they are kept no longer. Raises ApiError, StoreError."""
    found = service.epochs.by_record(number)
    if found is None:
        raise ApiError(
            404,
            f"the record of epoch {number} is not here, the newest is that of epoch "
            f"{service.store.newest_epoch()}: /v1/epochs lists them",
            param="number",
            code="unknown_epoch",
        )
    return found
