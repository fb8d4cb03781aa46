"""The page over a network of real processes: from the first round to an embedding that was asked for."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest

from tests.browser.conftest import OpenPage
from tests.support.testnet_process import assert_nothing_runs, end, start

pytestmark = [pytest.mark.browser, pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(400)]

UP_WITHIN_S = 120
CERTIFIED_WITHIN_MS = 150_000


def test_page__shows_rounds_live_and_gets_what_is_asked_for(tmp_path: Path, watched: OpenPage) -> None:
    run = start(tmp_path, "--validators", "1", "--encoders", "3", "--cheaters", "0", "--rounds", "50")
    try:
        url = address_of(tmp_path) + "/"
        # While the node starts it knows no status: 503s are told on the console.
        page = watched(tolerant=True).open(url)
        page.locator(".headline .state[data-state=certified]").wait_for(timeout=CERTIFIED_WITHIN_MS)
        page.locator(".lane[data-lane=wave-3][data-state=done]").wait_for(timeout=CERTIFIED_WITHIN_MS)
        assert page.locator("table.answers tbody tr").count() == 3
        page.goto(f"{url}#/encoders")
        page.locator("tbody .terms").nth(2).wait_for()
        page.goto(f"{url}#/network")
        page.locator(".traffic li").nth(2).wait_for(timeout=CERTIFIED_WITHIN_MS)
        page.goto(f"{url}#/ask")
        page.get_by_label("Text").fill(
            "Nobody has ever asked this very network about this very sentence before."
        )
        page.get_by_role("button", name="Ask the network").click()
        page.locator(".asked .barcode").wait_for(timeout=CERTIFIED_WITHIN_MS)
        page.goto(f"{url}#/map")
        page.get_by_label("Find what lies near a text").fill("how to open a file")
        page.get_by_role("button", name="Search").click()
        page.locator(".hits li").first.wait_for()
    finally:
        run.send_signal(signal.SIGINT)
        ended = end(run, 60)
    assert "Traceback" not in ended.out + ended.err
    assert_nothing_runs(tmp_path)


def address_of(folder: Path) -> str:
    """Where the first validator's API is, once its log says so."""
    deadline_s = time.monotonic() + UP_WITHIN_S
    while time.monotonic() < deadline_s:
        for log in (folder / "net").glob("validator-1/**/*.log*"):
            if found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text(errors="replace")):
                return found[0]
        time.sleep(0.2)
    raise AssertionError("no validator says where its API is")
