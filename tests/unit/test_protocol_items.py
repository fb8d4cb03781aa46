"""Items: one canonical form, refused in any other."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.hashing import digest
from protocol.items import TEXT_BYTES_MAX, ItemError, canonical_text, check_canonical_text, item_id

ANY_TEXT = st.text(max_size=80)


@given(text=ANY_TEXT)
def test_canonical_text__is_accepted_by_the_check_and_stays_as_it_is(text: str) -> None:
    try:
        data = canonical_text(text)
    except ItemError:
        assert not any(c.isalnum() for c in text if not 0xD800 <= ord(c) < 0xE000) or _has_surrogate(text)
        return
    checked = check_canonical_text(data)
    assert checked.encode() == data
    assert canonical_text(checked) == data


def _has_surrogate(text: str) -> bool:
    return any(0xD800 <= ord(c) < 0xE000 for c in text)


@given(text=st.text(alphabet=st.characters(), max_size=60), data=st.data())
def test_canonical_text__gives_equal_texts_one_form(text: str, data: st.DataObject) -> None:
    padded = data.draw(st.sampled_from([" ", "\n\t", "\u00a0", "\x00", "\u2028 "]))
    if not text.split() or _has_surrogate(text):
        return
    decomposed = unicodedata.normalize("NFD", text)
    try:
        expected = canonical_text(text)
    except ItemError:
        return
    assert canonical_text(padded + decomposed + padded) == expected


@given(data=st.binary(max_size=60))
def test_check_canonical_text__accepts_only_what_canonical_text_makes(data: bytes) -> None:
    try:
        text = check_canonical_text(data)
    except ItemError:
        return
    assert canonical_text(text) == data


@given(words=st.lists(st.text(alphabet="abcé漢🙂", min_size=1, max_size=5), min_size=1, max_size=12))
def test_canonical_text__keeps_every_word(words: list[str]) -> None:
    assert canonical_text(" \n ".join(words)).decode().split(" ") == words


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b" a", "whitespace"),
        (b"a ", "whitespace"),
        (b"a  b", "whitespace"),
        ("a\u00a0b".encode(), "whitespace"),
        ("a\u2028b".encode(), "whitespace"),
        (b" ", "whitespace"),
        (b"a\nb", "control character"),
        (b"a\x00b", "control character"),
        (b"a\x7fb", "control character"),
        ("a\u0085b".encode(), "control character"),
        ("e\u0301".encode(), "normal form C"),
        ("\u212b".encode(), "normal form C"),
        (b"\xff", "not UTF-8 at byte 0"),
        (b"a\xc0\x80", "not UTF-8 at byte 1"),
        (b"\xed\xa0\x80", "not UTF-8"),
        (b"a" * (TEXT_BYTES_MAX + 1), "cut it into chunks"),
    ],
)
def test_check_canonical_text__says_what_is_wrong(data: bytes, message: str) -> None:
    with pytest.raises(ItemError, match=message):
        check_canonical_text(data)


def test_check_canonical_text__accepts_the_longest_item() -> None:
    assert len(check_canonical_text(b"a" * TEXT_BYTES_MAX)) == TEXT_BYTES_MAX


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "empty"), (" \n\x00", "empty"), ("a\ud800", "lone surrogate"), ("é" * 4097, "8194 bytes")],
)
def test_canonical_text__refuses_what_cannot_be_an_item(text: str, message: str) -> None:
    with pytest.raises(ItemError, match=message):
        canonical_text(text)


@given(data=st.binary(max_size=40))
def test_item_id__is_the_digest_in_its_own_domain(data: bytes) -> None:
    assert item_id(data) == digest("item", data)
