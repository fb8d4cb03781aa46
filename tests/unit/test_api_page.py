"""The page's files over HTTP: what they are served with, and what is not served."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from node.web.assets import PAGE, assets
from tests.support.api import api_over

FOREIGN = re.compile(rb"""(?:src|href|url\(|import|from)\s*[=(]?\s*["']?(?:https?:)?//""")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with api_over(tmp_path_factory.mktemp("page")) as client:
        yield client


def test_page__is_served_with_a_policy_that_lets_nothing_in(api: TestClient) -> None:
    answered = api.get("/")
    assert answered.status_code == 200
    assert answered.headers["content-type"] == "text/html; charset=utf-8"
    policy = answered.headers["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy
    assert answered.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", sorted(set(assets()) - {PAGE}))
def test_file__is_served_and_not_sent_again_while_unchanged(api: TestClient, name: str) -> None:
    answered = api.get(f"/static/{name}")
    assert answered.content == assets()[name].content
    assert answered.headers["content-security-policy"]
    again = api.get(f"/static/{name}", headers={"If-None-Match": answered.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path", ["../index.html", "..%2f..%2fassets.py", "%2e%2e/__init__.py", "index.html", "js", "", "%00"]
)
def test_path_tricks__find_nothing(api: TestClient, path: str) -> None:
    answered = api.get(f"/static/{path}")
    assert answered.status_code in (400, 404)
    assert set(answered.json()) == {"error"}


@pytest.mark.parametrize("name", sorted(assets()))
def test_file__loads_nothing_from_elsewhere_and_parses_no_strings_as_html(name: str) -> None:
    content = assets()[name].content
    if name.endswith((".woff2", ".txt")):
        return
    assert not FOREIGN.search(content)
    for parser in (
        b"innerHTML",
        b"outerHTML",
        b"insertAdjacentHTML",
        b"document.write",
        b"eval(",
        b" style=",
    ):
        assert parser not in content


def test_every_file_a_page_names__is_there() -> None:
    for name, asset in assets().items():
        if not name.endswith((".html", ".css", ".js")):
            continue
        text = asset.content.decode()
        for found in re.findall(r'"/static/([^"]+)"', text):
            assert found in assets(), f"{name} names {found}"
        for found in re.findall(r'(?:from |url\()"(\.{1,2}/[^"]+)"', text):
            there = (Path("/") / name).parent / found
            assert there.resolve().as_posix().lstrip("/") in assets(), f"{name} names {found}"


def test_page__is_not_part_of_the_documented_api(api: TestClient) -> None:
    paths = api.get("/openapi.json").json()["paths"]
    assert not [path for path in paths if path == "/" or path.startswith("/static")]
