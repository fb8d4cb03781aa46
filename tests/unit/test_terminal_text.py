"""What strangers write steers no terminal: in documents, in errors, on a line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.cli.output import note_error, print_json
from node.terminal_text import STEERS, escaped, escaped_json

ANY = st.text(alphabet=st.sampled_from('a\x1b\n\x7f\x9b\u061c\u202e\u2028\u2066é😀\\"')) | st.text()


@given(ANY)
def test_line__keeps_what_can_be_read_and_holds_nothing_that_steers(text: str) -> None:
    shown = escaped(text)
    assert not STEERS.search(shown)
    assert len(shown.splitlines()) <= 1
    assert STEERS.search(text) or shown == text


@given(st.dictionaries(ANY, ANY, max_size=3))
def test_document__says_the_same_without_what_steers(document: dict[str, str]) -> None:
    shown = escaped_json(json.dumps(document, ensure_ascii=False))
    assert json.loads(shown) == document
    assert not STEERS.search(shown)


def test_commands__print_documents_and_errors_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": "\x9b2J\u202eevil"})
    note_error("the API says \x1b[2J\x9b31m no\nnext: ask another")
    shown = capsys.readouterr()
    assert not STEERS.search(shown.out.replace("\n", ""))
    assert shown.err == "error: the API says ?[2J?31m no\nnext: ask another\n"
    assert json.loads(shown.out) == {"name": "\x9b2J\u202eevil"}
