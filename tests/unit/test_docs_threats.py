"""docs/threat-model.md: what it says is shown by a test is shown by one that exists."""

from __future__ import annotations

import re

import pytest

from tests.support.documents import ROOT, read

PAGE = read("docs/threat-model.md")
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split(" | "))
    for line in PAGE.splitlines()
    if re.match(r"\| (?!(?:attack|cheat) )[^|]+ \| (?:stopped|limited|open|bounded)\b", line)
]


def test_rows__say_what_stops_them_and_what_shows_it() -> None:
    assert len(ROWS) > 50
    for row in ROWS:
        assert len(row) == 4, row[0]
        assert row[3], row[0]


@pytest.mark.parametrize("row", [row for row in ROWS if row[1].startswith("stopped")], ids=lambda row: row[0])
def test_stopped__names_a_test(row: tuple[str, ...]) -> None:
    assert TEST.search(row[3]), f"nothing shows that this is stopped: {row[0]}"


def test_tests__that_the_page_names_exist() -> None:
    named = TEST.findall(PAGE)
    assert len(named) > 40
    for path, name in named:
        file = ROOT / path
        assert file.is_file(), path
        assert not name or f"def {name}(" in file.read_text(encoding="utf-8"), f"{path}::{name}"


def test_rows__are_all_in_tables_with_four_columns() -> None:
    heads = re.findall(r"^\| (?:cheat|attack) \|.*$", PAGE, re.MULTILINE)
    assert len(heads) == 5
    assert all(head.endswith("| shown by |") for head in heads)
