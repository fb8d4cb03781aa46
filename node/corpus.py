"""A user's data as items: load text from files, folders or what the installed libraries document."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

from node.corpus_packages import package_documents
from node.corpus_text import WORDS_MAX, chunk_text, prose_paragraphs, unique
from node.shingles import saying_more, shingles

CHALLENGE_WORDS_MIN: Final = 20
"""Shorter items are too short to mask fairly: they are left out of the challenge pool."""
SOURCE_BYTES_MAX: Final = 256 << 20
"""Most bytes of text that are read from one source."""
TEXT_COLUMN: Final = "text"


class CorpusError(Exception):
    """The data a user pointed at cannot become items; the message says why and what to do."""


def load_corpus(source: Path | None, *, words_max: int = WORDS_MAX) -> list[str]:
    """Every item of a source, canonical and without repeats, in a stable order.

    `source` is None (the documentation of Python, numpy, scipy and scikit-learn, as installed), a file (.txt,
    .md, .rst; .jsonl with a field `text`; .parquet with a column `text`) or a folder of such files, read in
    sorted order. Long texts are cut by `chunk_text`. Raises CorpusError.
    """
    items = unique(item for text in _documents(source) for item in chunk_text(text, words_max=words_max))
    if not items:
        raise CorpusError(f"{_named(source)} holds no text: add some, or point elsewhere.")
    return items


def load_challenge_pool(
    source: Path | None, *, words_min: int = CHALLENGE_WORDS_MIN, words_max: int = WORDS_MAX
) -> list[str]:
    """The items of a source that are fit to challenge with: prose, at least `words_min` words, no repeats.

    Tables, grammars and code are dropped and repeated paragraphs are used once, so that no two items share
    a text. Of the default, None, an item is left out too that says again what earlier ones said
    (`node.shingles`). Raises CorpusError, also when nothing is left.
    """
    if source is None:
        return list(_installed_pool(words_min, words_max))
    pool = unique(_prose_items(_documents(source), words_min, words_max))
    if not pool:
        raise CorpusError(
            f"{_named(source)} holds no prose of {words_min} words to challenge with: add longer texts."
        )
    return pool


def python_pool(*, words_min: int = CHALLENGE_WORDS_MIN, words_max: int = WORDS_MAX) -> list[str]:
    """Those of the default challenge items, the first, that come with Python itself."""
    return unique(_prose_items(_python_documents(), words_min, words_max))


@cache
def _installed_pool(words_min: int, words_max: int) -> tuple[str, ...]:
    """Python's own documentation first, then what that of the packages adds to it."""
    pool = python_pool(words_min=words_min, words_max=words_max)
    known = {shingle for item in pool for shingle in shingles(item)}
    pool.extend(saying_more(_prose_items(package_documents(), words_min, words_max), known))
    return tuple(unique(pool))


def _prose_items(documents: Iterable[str], words_min: int, words_max: int) -> Iterator[str]:
    """Items of at least `words_min` words of the documents' prose, each paragraph used once."""
    seen: set[str] = set()
    for text in documents:
        fresh = [paragraph for paragraph in prose_paragraphs(text) if paragraph not in seen]
        seen.update(fresh)
        chunks = chunk_text("\n\n".join(unique(fresh)), words_max=words_max)
        yield from (chunk for chunk in chunks if len(chunk.split()) >= words_min)


def _documents(source: Path | None) -> Iterator[str]:
    if source is None:
        yield from _python_documents()
        yield from package_documents()
        return
    if not source.exists():
        raise CorpusError(f"{source} does not exist: check the path.")
    paths = _folder_files(source) if source.is_dir() else [source]
    size_bytes = 0
    for path in paths:
        try:
            size_bytes += path.stat().st_size
            if size_bytes > SOURCE_BYTES_MAX:
                raise CorpusError(
                    f"{source} holds more than {SOURCE_BYTES_MAX >> 20} MiB of text: point to a part of it."
                )
            yield from _reader(path)(path)
        except OSError as error:
            raise CorpusError(
                f"{path} cannot be read ({error.strerror or error}): check its permissions."
            ) from error


def _python_documents() -> Iterator[str]:
    from pydoc_data.topics import topics

    for name in sorted(topics):
        yield topics[name]


def _folder_files(folder: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise CorpusError(
            f"{error.filename or folder} cannot be listed ({error.strerror}): check its permissions."
        ) from error

    # os.walk rather than rglob: rglob passes over folders it may not read without a word.
    found = [
        Path(root, name)
        for root, _, names in os.walk(folder, onerror=refuse)
        for name in names
        if Path(name).suffix.lower() in _READERS
    ]
    if not found:
        raise CorpusError(f"{folder} holds no text files: put {_suffixes()} files in it.")
    return sorted(found)


def _reader(path: Path) -> Callable[[Path], Iterator[str]]:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise CorpusError(f"{path} is not a kind of text that can be read: use {_suffixes()}.")
    return reader


def _read_text(path: Path) -> Iterator[str]:
    yield _decoded(path)


def _read_jsonl(path: Path) -> Iterator[str]:
    # Split on line feeds alone: JSON strings may hold the other characters that str.splitlines cuts at.
    for number, line in enumerate(_decoded(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise CorpusError(
                f"{path}, line {number}, is not JSON ({error}): write an object a line."
            ) from error
        text = record.get(TEXT_COLUMN) if isinstance(record, dict) else None
        if not isinstance(text, str):
            raise CorpusError(f'{path}, line {number}, has no text: write it as {{"{TEXT_COLUMN}": "..."}}.')
        yield _encodable(text, path)


def _read_parquet(path: Path) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            columns = ", ".join(schema.names) or "none"
            if TEXT_COLUMN not in schema.names:
                raise CorpusError(f"{path} has no column `{TEXT_COLUMN}` (it has: {columns}): rename one.")
            kind = schema.field(TEXT_COLUMN).type
            if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
                raise CorpusError(f"Column `{TEXT_COLUMN}` of {path} holds {kind}: store it as strings.")
            for batch in file.iter_batches(columns=[TEXT_COLUMN]):
                for text in batch.column(0).to_pylist():
                    if text is not None:
                        yield _encodable(text, path)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise CorpusError(f"{path} is not a sound Parquet file ({error}): write it again.") from error


def _decoded(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path} is not UTF-8 (byte {error.start}): save it as UTF-8.") from error


def _encodable(text: str, path: Path) -> str:
    """The text, refused if it holds half a surrogate pair: such a string has no UTF-8 bytes to hash."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise CorpusError(f"{path} holds a broken Unicode character: save it again as UTF-8.") from error
    return text


def _named(source: Path | None) -> str:
    return "The documentation of Python" if source is None else str(source)


def _suffixes() -> str:
    return ", ".join(sorted(_READERS))


_READERS: Final[dict[str, Callable[[Path], Iterator[str]]]] = {
    ".txt": _read_text,
    ".md": _read_text,
    ".rst": _read_text,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}

__all__ = [
    "CHALLENGE_WORDS_MIN",
    "SOURCE_BYTES_MAX",
    "CorpusError",
    "chunk_text",
    "load_challenge_pool",
    "load_corpus",
    "python_pool",
]
