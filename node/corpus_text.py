"""The rules that turn text into items: chunking, and what reads as prose enough to challenge with."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

from protocol.items import TEXT_BYTES_MAX

WORDS_MAX: Final = 80
"""Longest item in words, a word being a run of characters without whitespace."""
WORDS_TARGET: Final = 48
"""An item takes in further pieces of its text until it has this many words."""
PLAIN_WORD_SHARE_MIN: Final = 0.7
"""A block with a smaller share of plain words is code, a grammar or a table, not prose."""

_CONTROLS_AS_SPACES: Final = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), " ")
_PARAGRAPH_BREAK: Final = re.compile(r"\n[^\S\n]*(?:\n[^\S\n]*)+")
_SENTENCE_BREAK: Final = re.compile(r"(?<=[.!?])[\"')\]\u201d\u2019]*\s+(?=[\"'(\[\u201c\u2018*]*[A-Z0-9])")
_PLAIN_WORD: Final = re.compile(
    r"[\"'(\[\u201c\u2018*]*[^\W\d_]+(?:[-'\u2019/][^\W\d_]+)*[\"')\]\u201d\u2019*.,;:!?]*"
)
_RULE_LINE: Final = re.compile(r"\s*[^\w\s]{3,}\s*", re.ASCII)
_CODE_LINE: Final = re.compile(r"\s*(?:[|+].*[|+]\s*$|>>>|\.\.\. |[$%#] |.*::=)")


def canonical_line(text: str) -> str:
    """The spelling of `protocol.items.canonical_text`, of any length: NFC, words joined by single spaces."""
    return " ".join(unicodedata.normalize("NFC", text.translate(_CONTROLS_AS_SPACES)).split())


def chunk_text(text: str, *, words_max: int = WORDS_MAX, words_target: int = WORDS_TARGET) -> list[str]:
    """Cut a text into canonical items without losing or repeating a word.

    Rule: a paragraph that fits is one piece; a longer one is cut into its sentences; a sentence that is still
    too long is cut into word runs of even length. Neighbouring pieces are then joined until an item has
    `words_target` words or the next piece would carry it over `words_max` words or TEXT_BYTES_MAX bytes. Only
    a single word of more than TEXT_BYTES_MAX bytes is cut inside.
    """
    if words_max < 1 or words_target < 1:
        raise ValueError(f"words_max and words_target must be at least 1, not {words_max} and {words_target}")
    items: list[str] = []
    current = ""
    for piece in _pieces(text, words_max):
        joined = f"{current} {piece}" if current else piece
        if current and (_word_count(current) >= words_target or not _fits(joined, words_max)):
            items.append(current)
            current = piece
        else:
            current = joined
    if current:
        items.append(current)
    return items


def prose_paragraphs(text: str) -> list[str]:
    """The paragraphs of a text that read as prose, canonical, without headings, tables, grammars and code."""
    kept: list[str] = []
    for block in _PARAGRAPH_BREAK.split(text):
        lines = block.splitlines()
        # A rule of punctuation underlines a heading or frames a table: the whole block goes.
        if any(_RULE_LINE.fullmatch(line) for line in lines):
            continue
        paragraph = canonical_line("\n".join(line for line in lines if not _CODE_LINE.match(line)))
        words = paragraph.split()
        if not words:
            continue
        plain_count = sum(_PLAIN_WORD.fullmatch(word) is not None for word in words)
        if plain_count >= PLAIN_WORD_SHARE_MIN * len(words):
            kept.append(paragraph)
    return kept


def unique(texts: Iterable[str]) -> list[str]:
    """The texts without repeats, in order of first appearance."""
    return list(dict.fromkeys(texts))


def _pieces(text: str, words_max: int) -> Iterator[str]:
    for block in _PARAGRAPH_BREAK.split(text):
        paragraph = canonical_line(block)
        if not paragraph:
            continue
        if _fits(paragraph, words_max):
            yield paragraph
            continue
        for sentence in _sentences(paragraph):
            if _fits(sentence, words_max):
                yield sentence
            else:
                yield from _word_runs(sentence, words_max)


def _sentences(paragraph: str) -> Iterator[str]:
    start = 0
    for match in _SENTENCE_BREAK.finditer(paragraph):
        yield paragraph[start : match.end()].rstrip()
        start = match.end()
    yield paragraph[start:]


def _word_runs(sentence: str, words_max: int) -> Iterator[str]:
    """Runs of words that fit, as even as the word count allows, so that no stub of one word is left over."""
    words = [part for word in sentence.split() for part in _byte_runs(word)]
    run_count = -(-len(words) // words_max)
    bounds = [index * len(words) // run_count for index in range(run_count + 1)]
    for start, stop in itertools.pairwise(bounds):
        run = ""
        for word in words[start:stop]:
            joined = f"{run} {word}" if run else word
            if run and not _fits(joined, words_max):
                yield run
                joined = word
            run = joined
        yield run


def _byte_runs(word: str) -> Iterator[str]:
    """The word itself, or its parts of at most TEXT_BYTES_MAX bytes, cut between characters."""
    part, size_bytes = "", 0
    if len(word.encode()) <= TEXT_BYTES_MAX:
        yield word
        return
    for character in word:
        character_bytes = len(character.encode())
        if size_bytes + character_bytes > TEXT_BYTES_MAX:
            yield part
            part, size_bytes = "", 0
        part += character
        size_bytes += character_bytes
    yield part


def _fits(text: str, words_max: int) -> bool:
    return _word_count(text) <= words_max and len(text.encode()) <= TEXT_BYTES_MAX


def _word_count(text: str) -> int:
    return text.count(" ") + 1
