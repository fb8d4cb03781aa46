"""What happens while the page is open: rounds that go on, a node that goes away and comes back."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from protocol.rounds.effects import Step
from tests.browser.conftest import OpenPage
from tests.support.page_network import ROUNDS, PageNetwork, page_history, page_network

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

PATIENCE_MS = 20_000


def lane(page: Page, name: str) -> str:
    return f".lane[data-lane={name}]"


def test_round__goes_through_its_waves_without_a_reload(network: PageNetwork, watched: OpenPage) -> None:
    page = watched().open(network.url)
    page.evaluate("window.unbroken = true")
    network.open_round(ROUNDS)
    page.locator(f"{lane(page, 'wave-1')}[data-state=running]").wait_for()
    network.lock(ROUNDS, 1)
    page.locator(f"{lane(page, 'wave-1')}[data-state=done] >> text=4 of 4").wait_for()
    page.locator(f"{lane(page, 'wave-2')}[data-state=running]").wait_for()
    network.lock(ROUNDS, 2, missing=network.encoders[:1])
    page.locator(f"{lane(page, 'wave-2')}[data-state=short] >> text=3 of 4").wait_for()
    network.step(ROUNDS, Step.REVEALED, after_ms=1600, elapsed_ms=200, answered=network.encoders)
    network.step(ROUNDS, Step.REPORTED, after_ms=2300, elapsed_ms=700)
    network.certify(network.history.of_round(ROUNDS)[0])
    page.locator(".headline .state[data-state=certified]").wait_for()
    expect(page.locator(".strip a")).to_have_count(ROUNDS + 1, timeout=PATIENCE_MS)
    assert page.evaluate("window.unbroken")


def test_reload__brings_the_history_back(network: PageNetwork, watched: OpenPage) -> None:
    one = watched()
    page = one.open(network.url)
    network.open_round(ROUNDS)
    network.lock(ROUNDS, 1)
    page.locator(f"{lane(page, 'wave-1')}[data-state=done]").wait_for()
    page.reload()
    page.locator(f"{lane(page, 'wave-1')}[data-state=done]").wait_for()
    assert page.locator(".strip a").count() == ROUNDS + 1


def test_void_round__says_so(network: PageNetwork, watched: OpenPage) -> None:
    page = watched().open(network.url)
    network.open_round(ROUNDS)
    network.step(ROUNDS, Step.VOID, after_ms=9000, detail="only 2 encoders revealed")
    expect(page.locator(".headline .state[data-state=void]")).to_be_visible()
    page.goto(f"{network.url}#/rounds/{ROUNDS}")
    expect(page.locator("main")).to_contain_text("only 2 encoders revealed")


def test_dispute_and_evidence__appear_as_they_arrive(network: PageNetwork, watched: OpenPage) -> None:
    page = watched().open(network.url, "network")
    page.get_by_text("nobody was caught").wait_for()
    network.accuse("equivocation")
    page.get_by_text("signed two things in one place").wait_for()
    expect(page.locator("#disputes-title ~ div .findings li")).to_have_count(1)
    expect(page.get_by_text("nobody was caught")).to_have_count(0)


def test_node_that_restarts__is_found_again_with_what_happened_meanwhile(
    tmp_path: Path, watched: OpenPage
) -> None:
    one = watched(tolerant=True)
    with page_network(tmp_path) as network:
        address = network.address
        page = one.open(network.url)
    page.get_by_text("The line to the node dropped").wait_for()
    page.locator("#link-text", has_text="Reconnecting").wait_for()
    assert page.locator(".number").inner_text() == str(ROUNDS), "what was known stays"
    with page_network(tmp_path, address) as network:
        network.open_round(ROUNDS)
        page.locator("#link[data-state=live]").wait_for()
        expect(page.locator(".strip a")).to_have_count(ROUNDS + 1, timeout=PATIENCE_MS)
        expect(page.get_by_text("The line to the node dropped")).to_have_count(0)
        # Events are heard on the new line too.
        network.certify(page_history().of_round(ROUNDS)[0])
        page.locator(".headline .state[data-state=certified]").wait_for()


def test_pause__grows_and_can_be_cut_short(network: PageNetwork, watched: OpenPage) -> None:
    one = watched(tolerant=True)
    page = one.page
    asked: list[str] = []
    page.route("**/v1/events*", lambda route: (asked.append(route.request.url), route.abort())[1])
    page.goto(network.url)
    page.get_by_text("The node does not answer yet").wait_for()
    page.get_by_text("Reconnecting in").wait_for()
    expect(page.locator("#link-text")).to_contain_text("in 4 s", timeout=PATIENCE_MS)
    before = len(asked)
    assert before >= 3
    page.unroute("**/v1/events*")
    page.get_by_role("button", name="Reconnect now").click()
    page.locator("#link[data-state=live]").wait_for(timeout=2_000)


def test_node_that_is_starting__is_waited_for(network: PageNetwork, watched: OpenPage) -> None:
    page = watched(tolerant=True).page
    sentence = "the node is starting: ask again in a second"
    starting = {"error": {"message": sentence, "type": "unavailable", "param": None, "code": None}}
    page.route("**/v1/status", lambda route: route.fulfill(status=503, json=starting))
    page.goto(network.url)
    page.get_by_text(sentence).wait_for()
    page.unroute("**/v1/status")
    expect(page.locator("#link[data-state=live]")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text(sentence)).to_have_count(0)


def test_token__is_asked_for_sent_and_forgotten_with_the_tab(network: PageNetwork, watched: OpenPage) -> None:
    one = watched(tolerant=True)
    page = one.page
    refused = {"error": {"message": "this node wants a token", "type": "authentication_error"}}

    def guard(route: object) -> None:
        if route.request.headers.get("authorization") == "Bearer sesame":  # type: ignore[attr-defined]
            route.continue_()  # type: ignore[attr-defined]
        else:
            route.fulfill(status=401, json=refused)  # type: ignore[attr-defined]

    page.route("**/v1/**", guard)
    page.goto(network.url)
    page.get_by_text("this node wants a token").wait_for()
    page.get_by_label("Access token").fill("sesame")
    page.get_by_role("button", name="Use it").click()
    page.locator("#link[data-state=live]").wait_for()
    page.locator(".strip a").first.wait_for()
    assert page.evaluate("localStorage.getItem('deltamesh-token')") is None
