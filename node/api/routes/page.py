"""GET / and /static/...: the web page, with a policy that lets nothing in from elsewhere."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request, Response

from node.api.errors import ApiError
from node.web.assets import PAGE, Asset, assets

HEADERS: Final = {
    # Nothing inline, nothing from elsewhere, in nobody's frame: a hostile item's text has nowhere to go.
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Asked for again each time, answered with 304 while unchanged: a node's update shows at once.
    "Cache-Control": "no-cache",
}

router = APIRouter(include_in_schema=False)


@router.get("/")
@router.head("/")
def page(request: Request) -> Response:
    """The page."""
    return _answer(request, assets()[PAGE])


@router.get("/static/{name:path}")
@router.head("/static/{name:path}")
def static(request: Request, name: str) -> Response:
    """One of its files. Raises ApiError (404) for a name that is none of them."""
    found = assets().get(name)
    if found is None or name == PAGE:
        raise ApiError(404, "the page has no such file: open / instead")
    return _answer(request, found)


def _answer(request: Request, asset: Asset) -> Response:
    headers = {**HEADERS, "ETag": asset.etag}
    if request.headers.get("if-none-match") == asset.etag:
        return Response(status_code=304, headers=headers)
    return Response(asset.content, media_type=asset.media_type, headers=headers)
