"""Chunking loses and repeats nothing, and every chunk is a canonical item."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.corpus_text import WORDS_MAX, WORDS_TARGET, canonical_line, chunk_text, prose_paragraphs, unique
from protocol.items import TEXT_BYTES_MAX, canonical_text, check_canonical_text

_ANY_TEXT = st.text(st.characters(codec="utf-8"), max_size=400)
_PROSE = st.lists(
    st.sampled_from(["a", "word", "End.", "Why?", "é", "\n\n", "\n", "\t", "(so", "Then"]), max_size=200
).map(" ".join)


@given(text=_ANY_TEXT | _PROSE, words_max=st.integers(1, 70), words_target=st.integers(1, 70))
def test_chunk_text__keeps_every_word_once_in_order(text: str, words_max: int, words_target: int) -> None:
    chunks = chunk_text(text, words_max=words_max, words_target=words_target)
    assert " ".join(chunks) == canonical_line(text)


@given(text=_ANY_TEXT | _PROSE, words_max=st.integers(1, 70))
def test_chunk_text__yields_canonical_items_within_both_limits(text: str, words_max: int) -> None:
    for chunk in chunk_text(text, words_max=words_max):
        assert check_canonical_text(chunk.encode()) == chunk
        assert 1 <= len(chunk.split(" ")) <= words_max


@given(text=_ANY_TEXT)
def test_canonical_line__agrees_with_the_protocol(text: str) -> None:
    line = canonical_line(text)
    if line:
        assert line.encode() == canonical_text(text)


@given(text=_PROSE)
def test_chunk_text__is_stable_when_applied_to_its_own_chunks(text: str) -> None:
    chunks = chunk_text(text)
    assert [again for chunk in chunks for again in chunk_text(chunk)] == chunks


def test_chunk_text__keeps_a_fitting_paragraph_whole() -> None:
    paragraph = " ".join(["word"] * WORDS_TARGET)
    assert chunk_text(f"{paragraph}\n\n{paragraph}") == [paragraph, paragraph]


def test_chunk_text__cuts_a_long_paragraph_between_sentences() -> None:
    sentence = "This sentence has exactly nine words in it, really."
    chunks = chunk_text(" ".join([sentence] * 8), words_max=20, words_target=10)
    assert chunks == [f"{sentence} {sentence}"] * 4


def test_chunk_text__cuts_a_long_sentence_into_even_runs() -> None:
    words = [f"w{index}" for index in range(WORDS_MAX + 1)]
    assert [len(chunk.split()) for chunk in chunk_text(" ".join(words), words_target=1)] == [40, 41]


def test_chunk_text__joins_short_neighbours_up_to_the_target() -> None:
    chunks = chunk_text("\n\n".join(["one two three"] * 20))
    assert [len(chunk.split()) for chunk in chunks] == [48, 12]


def test_chunk_text__cuts_inside_a_word_above_the_byte_limit() -> None:
    word = "é" * TEXT_BYTES_MAX
    chunks = chunk_text(f"before {word} after")
    assert "".join(chunks).replace(" ", "") == f"before{word}after"
    assert max(len(chunk.encode()) for chunk in chunks) <= TEXT_BYTES_MAX


@pytest.mark.parametrize("limits", [{"words_max": 0}, {"words_target": 0}])
def test_chunk_text__refuses_limits_below_one_word(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        chunk_text("some text", **limits)


@pytest.mark.parametrize(
    "junk",
    [
        "Heading words here\n==================",
        "+------+------+\n| a | b |\n+------+------+",
        'expr ::= term "+" expr',
        ">>> print('hello world')",
        "x = f(y); z[0] += {1: 2}",
    ],
)
def test_prose_paragraphs__drops_what_is_not_prose(junk: str) -> None:
    prose = "A plain sentence stays, as it can be masked."
    assert prose_paragraphs(f"{junk}\n\n{prose}\n\n{junk}") == [prose]


def test_unique__keeps_the_order_of_first_appearance() -> None:
    assert unique(["b", "a", "b", "c", "a"]) == ["b", "a", "c"]
