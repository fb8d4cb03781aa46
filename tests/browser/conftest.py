"""Chromium, pages that remember what went wrong in them, and a validator to look at."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.page_network import PageNetwork, page_network

PATIENCE_MS = 20_000

MAP = {
    "space": "raw",
    "points": [
        {
            "item_id": f"{index:064x}",
            "x": math.cos(index),
            "y": math.sin(index) * index,
            "round": index // 10,
            "preview": f"text {index}",
        }
        for index in range(40)
    ],
}
"""What every page gets for a map: places that a test can count on."""


@dataclass
class Watched:
    """A page and every fault it told: errors on its console, exceptions, refused requests."""

    page: Page
    faults: list[str] = field(default_factory=list)

    def open(self, url: str, view: str = "now") -> Page:
        """Go to a view and wait until it is live."""
        self.page.goto(f"{url}#/{view}")
        self.page.locator("#link[data-state=live]").wait_for()
        return self.page

    def overflow_px(self) -> int:
        """By how much the page is wider than its window."""
        script = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self.page.evaluate(script))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for all tests."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.fail("no Chromium here: install it (Debian: apt-get install chromium), then run this again")
    # Chromium's sandbox does not start for root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


OpenPage = Callable[..., Watched]


@pytest.fixture
def watched(chromium: Browser) -> Iterator[OpenPage]:
    """Makes pages: `watched(width=360, scheme="dark")`; whatever goes wrong in one fails the test."""
    opened: list[Watched] = []

    def make(width: int = 1280, scheme: str = "light", tolerant: bool = False, **options: object) -> Watched:
        context = chromium.new_context(
            viewport={"width": width, "height": 800},
            color_scheme=scheme,  # type: ignore[arg-type]
            **options,  # type: ignore[arg-type]
        )
        context.set_default_timeout(PATIENCE_MS)
        context.route("**/v1/map*", lambda route: route.fulfill(json=MAP))
        one = Watched(context.new_page())
        one.page.on("pageerror", lambda error: one.faults.append(f"exception: {error}"))
        one.page.on("dialog", lambda dialog: one.faults.append(f"dialog: {dialog.message}"))
        if not tolerant:
            one.page.on(
                "console",
                lambda said: one.faults.append(said.text) if said.type in ("error", "warning") else None,
            )
        opened.append(one)
        return one

    yield make
    for one in opened:
        one.page.context.close()
    assert [fault for one in opened for fault in one.faults] == []


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageNetwork]:
    """A validator that nothing happens to: for tests that only look."""
    with page_network(tmp_path_factory.mktemp("seen")) as network:
        yield network


@pytest.fixture
def network(tmp_path: Path) -> Iterator[PageNetwork]:
    """A validator of the test's own, for tests in which something happens."""
    with page_network(tmp_path) as network:
        yield network
