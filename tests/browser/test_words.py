"""Strangers' words on the page: whatever they hold, they stay words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Route

from tests.browser.conftest import OpenPage
from tests.support.page_network import PageNetwork

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

HOSTILE = {
    "markup": "<script>window.owned = 1</script><img src=x onerror='window.owned = 1'><svg onload=alert(1)>",
    "reordering": "safe \u202egnp.exe\u202c \u2066hidden\u2069 \u200b\u200f\u0000\u001b[31m",
    "one word": "W" * 8192,
    "address": "javascript:alert(1)//\" onclick='alert(1)' x=`${alert(1)}` {{alert(1)}}",
}
FREE = {"model", "role", "address", "version", "phase", "term", "detail", "kind", "preview", "space",
        "modality", "message", "text"}  # fmt: skip
"""Names of what is anybody's words, in any document of the API."""
VIEWS = ["now", "rounds/3", "encoders", "an encoder", "map", "network", "ask"]


def spoilt(document: Any, words: str) -> Any:
    """The document with every such field replaced."""
    if isinstance(document, dict):
        return {
            name: words if name in FREE and isinstance(value, str | None) else spoilt(value, words)
            for name, value in document.items()
        }
    return [spoilt(one, words) for one in document] if isinstance(document, list) else document


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_words__are_shown_as_words_and_fit(
    network: PageNetwork, watched: OpenPage, kind: str
) -> None:
    network.accuse("equivocation")
    words = HOSTILE[kind]

    def spoil(route: Route) -> None:
        if "/v1/events" in route.request.url:
            return route.continue_()
        answered = route.fetch()
        return route.fulfill(response=answered, json=spoilt(answered.json(), words))

    def map_of(route: Route) -> None:
        points = [
            {"item_id": f"{index:064x}", "x": index, "y": index, "round": 1, "preview": words}
            for index in range(3)
        ]
        route.fulfill(json={"space": words, "items": 3, "points": points})

    def hits(route: Route) -> None:
        hit = {"item_id": "0" * 64, "score": 0.5, "preview": words, "round": 1, "shard": 0}
        found = {"space": words, "searched": 3, "certified": False, "model": words, "neighbours": [hit] * 3}
        route.fulfill(json=found)

    one = watched(360)
    page = one.page
    page.route("**/v1/**", spoil)
    page.route("**/v1/map*", map_of)
    page.route("**/v1/search", hits)
    for view in VIEWS:
        place = f"encoders/{network.encoders[1].hex()}" if view == "an encoder" else view
        one.open(network.url, place)
        page.wait_for_timeout(300)
        if view == "map":
            page.get_by_label("Find what lies near a text").fill("words")
            page.get_by_role("button", name="Search").click()
            page.locator(".hits li").first.wait_for()
            page.locator("canvas").focus()
            page.keyboard.press("ArrowRight")
            page.locator(".preview .words").wait_for()
        assert one.overflow_px() <= 0, view
        shown = page.locator("body").inner_text()
        assert not set(shown) & set("\u202e\u202c\u2066\u2069\u200b\u200f\u0000\u001b"), view
        assert "W" * 300 not in shown, view
    assert page.evaluate("window.owned") is None
    assert page.locator("main script, main img, main iframe, main [onerror], main [onclick]").count() == 0
    assert page.locator("a[href^='javascript']").count() == 0


def test_refusal__is_shown_as_words_too(network: PageNetwork, watched: OpenPage) -> None:
    page = watched(tolerant=True).open(network.url, "ask")
    words = HOSTILE["markup"]
    refusal = {"error": {"message": words, "type": "invalid_request_error", "param": None, "code": None}}
    page.route("**/v1/embeddings", lambda route: route.fulfill(status=400, body=json.dumps(refusal)))
    page.get_by_label("Text").fill("anything")
    page.get_by_role("button", name="Ask the network").click()
    page.get_by_role("alert").filter(has_text="<script>").wait_for()
    assert page.evaluate("window.owned") is None
