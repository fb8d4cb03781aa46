"""The pages on the HTTP API are those of the code."""

from __future__ import annotations

import re
import runpy

from node.api.app import routed_app
from node.api.ids import PAGE_MAX
from tests.support.documents import ROOT, read

PAGE = read("docs/use-the-api.md")
READING = re.search(r"^## Read the network\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)


def test_api_reference__is_what_its_script_writes() -> None:
    written = runpy.run_path(str(ROOT / "docs" / "generate_api_reference.py"))["reference"]()
    assert read("docs/reference/http-api.md") == written, "run docs/generate_api_reference.py"


def test_addresses__of_the_page_are_served() -> None:
    assert READING is not None
    served = {re.sub(r"{\w+}", "{}", path) for path in routed_app().openapi()["paths"]}
    for row in re.findall(r"^\| (`/.*?) \|", READING[1], re.MULTILINE):
        base = ""
        for told in re.findall(r"`(/[^`]+)`", row):
            path = re.sub(r"{\w+}", "{}", told)
            if not path.startswith("/v1"):
                path = re.sub(r"(/v1/\w+/{}).*", r"\1", base) + path
            assert path in served, told
            base = path


def test_pages__hold_as_many_as_told() -> None:
    assert READING is not None
    assert f"at most {PAGE_MAX}" in READING[1]
