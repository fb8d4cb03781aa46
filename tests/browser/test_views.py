"""Every view, in light and dark, wide and narrow: it renders, it fits, anyone can use it."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.conftest import OpenPage
from tests.support.page_network import ROUNDS, PageNetwork

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

ENCODER = "an encoder"
VIEWS = {
    "now": "Waves of this round",
    "rounds/3": "Signatures",
    "encoders": "What the bars say",
    ENCODER: "Terms of the score",
    "map": "Find what lies near a text",
    "network": "Bandwidth",
    "ask": "What you submit becomes public.",
    "rounds/999": "this node knows nothing of round 999",
    "nowhere": "There is no such view",
}
LOOKS = [(1280, "light"), (1280, "dark"), (360, "light"), (360, "dark")]


def path_of(view: str, network: PageNetwork) -> str:
    return f"encoders/{network.encoders[1].hex()}" if view == ENCODER else view


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
@pytest.mark.parametrize("view", VIEWS)
def test_view__renders_fits_and_has_no_serious_accessibility_fault(
    seen: PageNetwork, watched: OpenPage, view: str, width: int, scheme: str
) -> None:
    # A round that is not there is a 404, which browsers put on the console.
    one = watched(width, scheme, tolerant=view == "rounds/999")
    page = one.open(seen.url, path_of(view, seen))
    page.get_by_text(VIEWS[view]).first.wait_for()
    page.wait_for_load_state("load")
    assert one.overflow_px() <= 0
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(246, 248, 247)", "dark": "rgb(13, 19, 18)"}[scheme]
    found = Axe().run(page).response["violations"]
    serious = [
        f"{fault['id']}: {node['html'][:200]} {node.get('failureSummary', '')}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]
    assert serious == []


@pytest.mark.parametrize("view", VIEWS)
def test_view__fits_a_phone_before_its_fonts_are_there(
    seen: PageNetwork, watched: OpenPage, view: str
) -> None:
    one = watched(360, "light", tolerant=True)
    one.page.route("**/*.woff2", lambda route: route.abort())
    page = one.open(seen.url, path_of(view, seen))
    page.get_by_text(VIEWS[view]).first.wait_for()
    page.wait_for_load_state("load")
    assert one.overflow_px() <= 0


def test_now__shows_the_rounds_before_and_links_them(seen: PageNetwork, watched: OpenPage) -> None:
    page = watched().open(seen.url)
    assert page.locator(".number").inner_text() == str(ROUNDS)
    assert page.locator(".strip a").count() == ROUNDS
    page.locator("table.plain a").first.click()
    page.get_by_role("heading", name=f"Round {ROUNDS - 1}", exact=True).wait_for()


def test_round__shows_who_missed_which_wave(seen: PageNetwork, watched: OpenPage) -> None:
    page = watched().open(seen.url, "rounds/3")
    page.locator(".lane[data-lane=wave-2] >> text=3 of 4").wait_for()
    row = page.locator("table.answers tbody tr").filter(has_text=seen.encoders[0].hex()[:8])
    assert row.locator(".tick").evaluate_all("ticks => ticks.map((one) => one.dataset.state)") == [
        "yes",
        "no",
        "yes",
        "yes",
    ]
    assert "two thirds are enough" in page.locator("main").inner_text()


def test_report__is_saved_as_the_file_that_verify_reads(seen: PageNetwork, watched: OpenPage) -> None:
    page = watched().open(seen.url, "rounds/3")
    page.route("**/bundle", lambda route: route.fulfill(status=200, body=b"a report"))
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save the report as a file").click()
    assert saved.value.suggested_filename == "round-3.dmr"
    assert saved.value.path().read_bytes() == b"a report"


def test_report_that_is_not_whole_here__is_refused_in_the_words_of_the_node(
    seen: PageNetwork, watched: OpenPage
) -> None:
    page = watched(tolerant=True).open(seen.url, "rounds/3")
    with page.expect_response("**/bundle") as asked:
        page.get_by_role("button", name="Save the report as a file").click()
    # The answers of this history are nowhere.
    assert asked.value.status == 404
    page.get_by_text(asked.value.json()["error"]["message"]).wait_for()


def test_encoders__are_sorted_by_the_pressed_head(seen: PageNetwork, watched: OpenPage) -> None:
    page = watched().open(seen.url, "encoders")
    head = page.get_by_role("columnheader", name="Encoder")
    keys = page.locator("tbody th a")
    head.get_by_role("button").click()
    page.locator("th[aria-sort=ascending]").wait_for()
    assert keys.all_inner_texts() == [key.hex()[:8] for key in seen.encoders]
    head.get_by_role("button").click()
    page.locator("th[aria-sort=descending]").wait_for()
    assert keys.all_inner_texts() == [key.hex()[:8] for key in reversed(seen.encoders)]


def test_network__draws_members_and_measures_bytes_against_a_vector(
    seen: PageNetwork, watched: OpenPage
) -> None:
    page = watched().open(seen.url, "network")
    page.locator(".mesh .node").first.wait_for()
    members = len(seen.history.validators) + len(seen.history.encoders)
    assert page.locator(".mesh .node").count() == members
    assert page.locator(".mesh .edge").count() == members - 2, "not to itself, not to who is away"
    page.locator(".traffic li").first.wait_for()
    # 3,000 bytes beside 40 vectors.
    assert "4,171 B" in page.locator(".traffic").inner_text()


def test_theme__is_kept_over_a_reload(seen: PageNetwork, watched: OpenPage) -> None:
    page = watched(scheme="light").open(seen.url)
    button = page.locator("#theme")
    assert button.inner_text() == "Theme: system"
    button.click()
    button.click()
    assert button.inner_text() == "Theme: dark"
    page.reload()
    assert page.locator("#theme").inner_text() == "Theme: dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(13, 19, 18)"


def test_motion__stands_still_for_who_asks(seen: PageNetwork, watched: OpenPage) -> None:
    page = watched(reduced_motion="reduce").open(seen.url)
    moving = page.evaluate(
        "[...document.querySelectorAll('*')].map((one) => getComputedStyle(one))"
        ".filter((one) => one.transitionDuration !== '0s' || one.animationName !== 'none').length"
    )
    assert moving == 0
