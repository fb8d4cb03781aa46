"""Draws docs/images/page-*.png, the web page of a running validator, with Chromium.

    deltamesh testnet up &
    PYTHONPATH=. python docs/draw_page.py http://127.0.0.1:PORT

PORT is that of a validator's API, as `testnet up` prints it. Asks the network for one embedding.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

IMAGES = Path(__file__).parent / "images"
CERTIFIED_WITHIN_MS = 120_000
QUESTION = "A peer-to-peer network can agree on what a sentence means without trusting anybody."
SEARCHED = "how to open and read a file"


def main() -> None:
    """Take the pictures."""
    url = sys.argv[1].rstrip("/") + "/"
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        ask(browser, url)
        page = opened(browser, url, "now", "light", 1180, 860)
        # A round in which this node was told the waves, and some are over.
        page.locator(".lane[data-lane=wave-3][data-state=done]").wait_for(timeout=CERTIFIED_WITHIN_MS)
        save(page, "now")
        page = opened(browser, url, "encoders", "light", 1180, 860)
        page.locator(".terms").first.wait_for()
        save(page, "encoders")
        page.locator("tbody th a").first.click()
        page.locator(".charts").first.wait_for()
        save(page, "encoder")
        page = opened(browser, url, "network", "dark", 1180, 1000)
        page.locator(".mesh .node").first.wait_for()
        page.wait_for_timeout(1500)
        save(page, "network")
        page = opened(browser, url, "map", "light", 1180, 860)
        page.get_by_label("Find what lies near a text").fill(SEARCHED)
        page.get_by_role("button", name="Search").click()
        page.locator(".hits li").first.wait_for()
        save(page, "map")
        page = opened(browser, url, "now", "dark", 360, 780)
        page.locator(".strip a").first.wait_for()
        save(page, "phone")
        browser.close()


def opened(browser: Browser, url: str, view: str, scheme: str, width: int, height: int) -> Page:
    """A view, live."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,  # type: ignore[arg-type]
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(f"{url}#/{view}")
    page.locator("#link[data-state=live]").wait_for()
    return page


def ask(browser: Browser, url: str) -> None:
    """Ask for an embedding, and picture the answer."""
    page = opened(browser, url, "ask", "light", 1180, 860)
    page.get_by_label("Text").fill(QUESTION)
    page.get_by_role("button", name="Ask the network").click()
    page.locator(".asked .barcode").wait_for(timeout=CERTIFIED_WITHIN_MS)
    save(page, "ask")


def save(page: Page, name: str) -> None:
    """Write a picture of what is in the window."""
    page.screenshot(path=IMAGES / f"page-{name}.png")


if __name__ == "__main__":
    main()
