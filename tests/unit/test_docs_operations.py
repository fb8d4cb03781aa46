"""docs/operations.md, the command reference, the index and the pictures are those of the code."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from xml.etree import ElementTree

import pytest

from config.datadir import DataDir
from node.cli.errors import EXIT_CODE_LINES
from node.logs import FILE_BYTES_MAX, FILES_KEPT
from node.network.limits import NetworkLimits
from tests.support.documents import ROOT, read

PAGE = read("docs/operations.md")


def section(title: str) -> str:
    """The text under a heading of the page."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None, f"no section {title}"
    return found[1]


def test_command_reference__is_what_its_script_writes() -> None:
    written = runpy.run_path(str(ROOT / "docs" / "generate_cli_reference.py"))["reference"]()
    assert read("docs/reference/cli.md") == written, "run docs/generate_cli_reference.py"


def test_exit_codes__are_those_of_the_command_line() -> None:
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \|", section("Exit codes"), re.MULTILINE)
    assert dict(rows) == {str(code.value): line for code, line in EXIT_CODE_LINES.items()}


def test_files__of_the_data_directory_are_all_named() -> None:
    directory = DataDir(Path("/"))
    named = [directory.genesis, directory.config, directory.key, directory.store, directory.signer]
    for path in [*named, directory.blobs, directory.logs, directory.lock_file]:
        assert f"`{path.name}" in section("Files in the data directory"), path.name


def test_logs_and_bans__have_the_sizes_told() -> None:
    assert (FILE_BYTES_MAX >> 20, FILES_KEPT + 1) == (16, 5)
    assert "five files of 16 MiB" in PAGE
    limits = NetworkLimits()
    assert (limits.penalty_budget, limits.ban_s) == (100, 300)
    assert "at 100 the peer is refused for 5 minutes" in PAGE


def test_log_events__named_by_the_page_are_logged_by_the_node() -> None:
    source = "\n".join(path.read_text() for path in sorted((ROOT / "node").rglob("*.py")))
    steps = set(re.findall(r'^    \w+ = "(\w+)"$', read("protocol/rounds/effects.py"), re.MULTILINE))
    named = re.findall(
        r"`((?:node|round|peer|scoring|signer|api)\.\w+)`", section("Log events worth knowing")
    )
    assert len(named) > 10
    for event in named:
        kind, _, step = event.partition(".")
        assert f'"{event}"' in source or (kind == "round" and step in steps), event


def test_index__leads_to_every_page() -> None:
    linked = set(re.findall(r"\]\(([^)#]+)\)", read("docs/index.md")))
    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert pages - linked == {"index.md", "adr/template.md"}


@pytest.mark.parametrize("name", ["round", "scale", "testnet", "top"])
def test_pictures__are_whole_and_load_nothing_from_elsewhere(name: str) -> None:
    text = read(f"docs/images/{name}.svg")
    assert ElementTree.fromstring(text).tag.endswith("svg")
    links = re.findall(r"https?://[^\s\"']+", text)
    assert {link for link in links if "w3.org" not in link} == set()
    assert "@font-face" not in text


def test_picture_of_a_round__is_what_its_script_draws() -> None:
    drawn = runpy.run_path(str(ROOT / "docs" / "draw_round.py"))["picture"]()
    assert read("docs/images/round.svg") == drawn, "run docs/draw_round.py"
