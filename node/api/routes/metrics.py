"""The node's metrics, for Prometheus."""

from __future__ import annotations

from typing import cast

from fastapi import APIRouter, Request, Response
from starlette.responses import PlainTextResponse

from node.metrics.registry import CONTENT_TYPE, NodeMetrics

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    operation_id="get_metrics",
    summary="Metrics in Prometheus' text format",
    response_class=PlainTextResponse,
)
def get_metrics(request: Request) -> Response:
    """What the node measures of itself: docs/metrics.md explains each, and what to do about it."""
    metrics = cast(NodeMetrics, request.app.state.metrics)
    return Response(metrics.exposition(), media_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})
