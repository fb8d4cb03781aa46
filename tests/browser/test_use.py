"""The page in use: by keyboard alone, searching, asking."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.support.page_network import PageNetwork

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

REPORT = "ab" * 32


def focused(page: Page) -> str:
    """What has the focus, in words."""
    return str(page.evaluate("document.activeElement.innerText || document.activeElement.ariaLabel || ''"))


def tab_to(page: Page, words: str, presses_max: int = 60) -> None:
    """Press Tab until the focus is on those words."""
    for _ in range(presses_max):
        page.keyboard.press("Tab")
        if focused(page).strip() == words:
            return
    raise AssertionError(f"{presses_max} presses of Tab do not lead to {words!r}")


def test_keyboard__reaches_every_view_and_what_is_in_it(seen: PageNetwork, watched: OpenPage) -> None:
    page = watched().open(seen.url)
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    assert page.url.endswith("#/now")
    for name, heading in [("Encoders", "Encoders"), ("Network", "Network"), ("Ask", "Ask"), ("Map", "Map")]:
        page.locator(".brand").focus()
        tab_to(page, name)
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", "who goes by keyboard sees where they are"
        page.keyboard.press("Enter")
        page.get_by_role("heading", name=heading, exact=True, level=1).wait_for()
        assert page.evaluate("document.activeElement.id") == "main"


def test_keyboard__sorts_the_encoders_and_keeps_its_place(seen: PageNetwork, watched: OpenPage) -> None:
    page = watched().open(seen.url, "encoders")
    page.locator("tbody th a").first.wait_for()
    tab_to(page, "Reputation")
    page.keyboard.press("Enter")
    page.locator("th[aria-sort]", has_text="Reputation").wait_for()
    assert focused(page).startswith("Reputation")
    page.keyboard.press("Enter")
    page.locator("th[aria-sort=ascending]", has_text="Reputation").wait_for()


def test_keyboard__walks_the_map_and_opens_a_round(seen: PageNetwork, watched: OpenPage) -> None:
    page = watched().open(seen.url, "map")
    page.get_by_text("40 embeddings").wait_for()
    page.locator("canvas").focus()
    page.keyboard.press("ArrowRight")
    first = page.locator(".preview .words").inner_text()
    assert first.startswith("text ")
    page.keyboard.press("ArrowLeft")
    assert page.locator(".preview .words").inner_text() != first
    said = page.locator("p[aria-live]").first.inner_text()
    assert said.startswith(page.locator(".preview .words").inner_text())
    for key in ("+", "+", "-", "0"):
        page.keyboard.press(key)
    page.keyboard.press("Escape")
    page.locator(".preview").wait_for(state="hidden")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Round 0", exact=True).wait_for()


def test_search__lists_hits_and_marks_them_older_ones_too(seen: PageNetwork, watched: OpenPage) -> None:
    page = watched().open(seen.url, "map")
    page.get_by_text("40 embeddings").wait_for()
    asked: list[Any] = []
    old = f"{999:064x}"

    def answer(route: Any) -> None:
        asked.append(route.request.post_data_json)
        hits = [
            {"item_id": f"{index:064x}", "score": 0.9, "preview": f"text {index}", "round": 0, "shard": 0}
            for index in (3, 7)
        ]
        hits.append({"item_id": old, "score": 0.5, "preview": "an old one", "round": 0, "shard": 0})
        found = {"space": "raw", "searched": 41, "certified": False, "model": "m", "neighbours": hits}
        route.fulfill(json=found)

    def place(route: Any) -> None:
        point = {"item_id": old, "x": 1.0, "y": 1.0, "round": 0, "preview": "an old one"}
        route.fulfill(json={"space": "raw", "items": 41, "points": [point]})

    page.route("**/v1/search", answer)
    page.route("**/v1/map?item_id=*", place)
    page.get_by_label("Find what lies near a text").fill("  two words ")
    page.keyboard.press("Enter")
    page.locator(".hits li").nth(2).wait_for()
    assert [one["text"] for one in asked] == ["two words"]
    assert "nobody certified" in page.locator(".results").inner_text()
    assert "not among the points drawn" not in page.locator(".hits").inner_text()
    page.locator(".hits li").nth(2).hover()
    assert page.locator(".preview .words").inner_text() == "an old one"
    page.get_by_role("button", name="Clear").click()
    assert page.locator(".hits").count() == 0


def test_asked_text__is_followed_to_its_certificate_also_over_a_reload(
    seen: PageNetwork, watched: OpenPage
) -> None:
    page = watched().open(seen.url, "ask")
    job: dict[str, Any] = {"id": "1" * 32, "object": "job", "status": "queued", "done": 0, "total": 1}
    job |= {"created_ms": 1, "expires_ms": 2, "response": None, "error": None}
    sent: list[Any] = []

    def take(route: Any) -> None:
        sent.append((route.request.headers["prefer"], route.request.post_data_json))
        route.fulfill(status=202, json=job)

    page.route("**/v1/embeddings", take)
    page.route("**/v1/jobs/*", lambda route: route.fulfill(json=job))
    assert page.get_by_text("What you submit becomes public.").is_visible()
    page.get_by_label("Text").fill("a sentence")
    page.get_by_role("button", name="Ask the network").click()
    page.get_by_text("It is queued for the next slot.").wait_for()
    assert sent == [("respond-async", {"input": "a sentence"})]
    page.reload()
    page.get_by_text("It is queued for the next slot.").wait_for()
    item = {"item_id": "2" * 64, "round": 3, "shard": 0, "certificate": REPORT, "served": "round"}
    origin = {"network_id": "0" * 64, "space": "epoch 0", "epoch": 0, "public": True, "items": [item]}
    vector = [((index * 37) % 100 - 50) / 1000 for index in range(1024)]
    job |= {"status": "done", "done": 1, "response": {"data": [{"embedding": vector}], "deltamesh": origin}}
    page.get_by_text("1,024 numbers").first.wait_for()
    page.locator(".asked .barcode").wait_for()
    assert page.locator(f"a[href='/v1/certificates/{REPORT}']").is_visible()
    page.locator("a[href='#/rounds/3']").click()
    page.get_by_role("heading", name="Round 3", exact=True).wait_for()


def test_repeat__is_answered_at_once(seen: PageNetwork, watched: OpenPage) -> None:
    page = watched().open(seen.url, "ask")
    item = {"item_id": "2" * 64, "round": 3, "shard": 0, "certificate": REPORT, "served": "repeat"}
    origin = {"space": "epoch 0", "epoch": 0, "items": [item]}
    whole = {"data": [{"embedding": [0.5] * 1024}], "deltamesh": origin}
    page.route("**/v1/embeddings", lambda route: route.fulfill(json=whole))
    page.get_by_label("Text").fill("a sentence")
    page.get_by_role("button", name="Ask the network").click()
    expect(page.get_by_text("at once: it was known")).to_be_visible()
    expect(page.locator(f"a[href='/v1/certificates/{REPORT}']")).to_be_visible()
