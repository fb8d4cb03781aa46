"""The page's list of encoders beyond the first 200: a page at a time, the total said, by keyboard too."""

from __future__ import annotations

from urllib.parse import parse_qs, urlparse

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route

from tests.browser.conftest import OpenPage
from tests.support.page_network import PageNetwork
from tests.support.publishing import publish

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

TOTAL, PAGE = 450, 200


def encoder(number: int) -> dict[str, object]:
    return {
        "public_key": f"{number:064x}",
        "model": "wordllama-256",
        "stake": 100,
        "reputation": 0.5,
        "probation": False,
        "score": (number * 37 % TOTAL) / TOTAL,
        "weight": 1 / TOTAL,
        "terms": {},
        "lof": 1.0,
        "rounds": 4,
        "last_round": 3,
    }


def listed(page: Page, total: int = TOTAL) -> list[str]:
    """Answer for a network of so many encoders; the cursors that were asked for."""
    asked: list[str] = []

    def answer(route: Route) -> None:
        after = parse_qs(urlparse(route.request.url).query).get("after", [""])[0]
        asked.append(after)
        start = int(after, 16) + 1 if after else 0
        rows = [encoder(number) for number in range(start, min(start + PAGE, total))]
        last = start + PAGE >= total
        route.fulfill(
            json={
                "epoch": 0,
                "total": total,
                "encoders": rows,
                "next_after": None if last else rows[-1]["public_key"],
            }
        )

    page.route("**/v1/encoders", answer)
    page.route("**/v1/encoders?*", answer)
    return asked


def best(first: int, last: int) -> str:
    """The key of the best of a page's encoders."""
    return f"{max(range(first, last), key=lambda number: number * 37 % TOTAL):064x}"


def test_encoders__beyond_the_first_page_are_turned_to_with_the_total_said(
    seen: PageNetwork, watched: OpenPage
) -> None:
    one = watched()
    listed(one.page)
    page = one.open(seen.url, "encoders")
    rows = page.locator("tbody tr")
    on, back = (page.get_by_role("button", name=f"{name} encoders") for name in ("Next", "Previous"))
    page.get_by_text("Encoders 1 to 200 of 450").wait_for()
    assert "450 encoders in epoch 0" in page.locator("main").inner_text()
    assert (rows.count(), back.is_disabled(), on.is_disabled()) == (200, True, False)
    on.click()
    page.get_by_text("Encoders 201 to 400 of 450").wait_for()
    assert page.locator(".more button:focus").inner_text() == "Next encoders"
    assert rows.count() == 200
    assert rows.first.locator("a").first.get_attribute("href") == f"#/encoders/{best(200, 400)}"
    # By the keyboard, which is left where pages are turned when there is no next one.
    on.focus()
    page.keyboard.press("Enter")
    page.get_by_text("Encoders 401 to 450 of 450").wait_for()
    assert rows.count() == 50
    assert (on.is_disabled(), back.is_disabled()) == (True, False)
    page.locator(".more p:focus").wait_for()
    back.click()
    page.get_by_text("Encoders 201 to 400 of 450").wait_for()
    back.click()
    page.get_by_text("Encoders 1 to 200 of 450").wait_for()
    assert rows.first.locator("a").first.get_attribute("href") == f"#/encoders/{best(0, 200)}"


def test_encoders__that_fit_one_page_have_no_buttons(seen: PageNetwork, watched: OpenPage) -> None:
    page = watched().open(seen.url, "encoders")
    page.locator("tbody tr").first.wait_for()
    assert page.get_by_role("button", name="Next encoders").count() == 0
    assert page.get_by_role("button", name="Previous encoders").count() == 0
    assert "Encoders 1 to" not in page.locator("main").inner_text()


def test_page__stays_when_an_epoch_begins(network: PageNetwork, watched: OpenPage) -> None:
    one = watched()
    asked = listed(one.page)
    page = one.open(network.url, "encoders")
    page.get_by_role("button", name="Next encoders").click()
    page.get_by_text("Encoders 201 to 400 of 450").wait_for()
    asked.clear()
    with page.expect_response("**/v1/encoders?after=*"):
        publish(network.service.events, "epoch", {"epoch": 1})
    assert asked == [f"{PAGE - 1:064x}"]
    page.get_by_text("Encoders 201 to 400 of 450").wait_for()
    assert page.locator("tbody tr").count() == 200


def test_page_whose_encoders_left__is_the_one_before(network: PageNetwork, watched: OpenPage) -> None:
    one = watched()
    listed(one.page)
    page = one.open(network.url, "encoders")
    page.get_by_role("button", name="Next encoders").click()
    page.get_by_text("Encoders 201 to 400 of 450").wait_for()
    page.unroute("**/v1/encoders")
    page.unroute("**/v1/encoders?*")
    listed(page, 150)
    publish(network.service.events, "epoch", {"epoch": 1})
    page.get_by_text("150 encoders in epoch 0").wait_for()
    assert page.locator("tbody tr").count() == 150
    assert page.get_by_role("button", name="Previous encoders").count() == 0


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_long_list__fits_and_has_no_serious_accessibility_fault(
    seen: PageNetwork, watched: OpenPage, width: int, scheme: str
) -> None:
    one = watched(width, scheme)
    listed(one.page)
    page = one.open(seen.url, "encoders")
    page.get_by_role("button", name="Next encoders").wait_for()
    assert one.overflow_px() <= 0
    found = Axe().run(page).response["violations"]
    serious = [fault["id"] for fault in found if fault["impact"] in ("serious", "critical")]
    assert serious == []


@pytest.mark.parametrize("modality", ["text", "audio"])
def test_modality__is_told_where_encoders_are_listed_and_where_one_asks(
    seen: PageNetwork, watched: OpenPage, modality: str
) -> None:
    one = watched()

    def told(route: Route) -> None:
        answered = route.fetch()
        route.fulfill(response=answered, json={**answered.json(), "modality": modality})

    one.page.route("**/v1/status", told)
    page = one.open(seen.url, "encoders")
    page.get_by_text(f"All embed {modality}.").wait_for()
    one.open(seen.url, "ask")
    field = page.get_by_label("Text", exact=True)
    if modality == "text":
        field.wait_for()
        assert "Some words to embed" in page.locator("main").inner_text()
    else:
        page.get_by_text("This network embeds audio: send it files from a program.").wait_for()
        assert not field.is_visible()
        assert "base64 < FILE" in page.locator("main").inner_text()
