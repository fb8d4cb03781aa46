"""Labelled text that needs no network: documentation of the standard library, labelled by its module.

None of it is what encoders are aligned on (`node.encoders.anchors`) or what a network certifies by default
(`pydoc_data.topics` and `node.corpus_packages`): other modules, and no passage of eight words in common with
anchors and topics, of twelve with the packages.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

from node.corpus_text import canonical_line, chunk_text, prose_paragraphs
from node.encoders.anchors import anchor_texts
from node.evaluation.data import LabelledData, LabelledItem
from node.evaluation.errors import EvaluationError

ITEMS_PER_CLASS_MAX: Final = 40
ITEM_WORDS_MIN: Final = 16
ITEM_WORDS_MAX: Final = 40
ITEM_WORDS_TARGET: Final = 24
"""Shorter than a network's items: its figures are kept comparable with those taken before items grew."""
GROUP_ITEMS: Final = 5
"""Neighbouring items that stay together: they may tell of one thing."""
SHINGLE_WORDS: Final = 8
_CAPTION_WORDS_MIN: Final = 4
# Chosen for much prose, and for being about different things. None of them is an anchor's module.
_CLASSES: Final = {
    "archives": ("tarfile", "zipfile", "lzma", "bz2", "gzip"),
    "arguments": ("argparse", "optparse", "getopt"),
    "asyncio": ("asyncio",),
    "configuration": ("configparser",),
    "dates": ("datetime", "calendar", "zoneinfo"),
    "decimals": ("_pydecimal", "fractions"),
    "e-mail": ("email.charset", "email.header", "email.policy", "email._header_value_parser", "mailbox"),
    "files": ("shutil", "pathlib", "tempfile", "os", "fileinput"),
    "imports": ("importlib", "pkgutil"),
    "introspection": ("inspect", "dis", "ast"),
    "json and pickle": ("json", "pickle", "shelve", "pickletools"),
    "processes": ("multiprocessing", "concurrent"),
    "sockets": ("socket", "socketserver", "ssl", "selectors"),
    "tracing": ("bdb", "traceback", "trace", "cmd"),
    "urls": ("urllib",),
    "web servers": ("wsgiref", "http.server", "cgi"),
    "windows": ("tkinter",),
    "xml": ("xml",),
}
_Documented: TypeAlias = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def text_sample() -> LabelledData:
    """Passages of 16 to 40 words, up to 40 of each of 18 classes, the same for one version of Python.

    Their captions are the first lines of the documentation strings they come from, where those tell more than
    a name. Raises EvaluationError where the standard library came without its sources.
    """
    from pydoc_data.topics import topics

    known = {one for text in (*anchor_texts(), *topics.values()) for one in _shingles(text)}
    captions: set[str] = set()
    items: list[LabelledItem] = []
    for label, modules in _CLASSES.items():
        fresh: list[tuple[str, str | None]] = []
        for text, caption in _passages(modules):
            shingles = _shingles(text)
            if not shingles & known:
                # A caption of two texts would find neither for sure.
                fresh.append((text, None if caption in captions else caption))
                known |= shingles
                captions |= {caption} if caption else set()
        items += [
            LabelledItem(text, label, f"{label} {place // GROUP_ITEMS}", caption)
            for place, (text, caption) in enumerate(_spread(fresh))
        ]
    try:
        return LabelledData("documentation of Python's standard library", "text", tuple(items))
    except EvaluationError as error:
        raise EvaluationError(
            f"{error}, as a Python whose standard library comes with its source files has them"
        ) from None


def _spread(passages: list[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    """ITEMS_PER_CLASS_MAX of the passages, evenly from all of them."""
    stride = max(1.0, len(passages) / ITEMS_PER_CLASS_MAX)
    return [passages[int(place * stride)] for place in range(min(len(passages), ITEMS_PER_CLASS_MAX))]


def _passages(modules: tuple[str, ...]) -> Iterator[tuple[str, str | None]]:
    """Items of the documentation strings of some modules; the first of each string with its caption."""
    for path in _sources(modules):
        for node in _documented(ast.parse(path.read_bytes())):
            head, _, body = (ast.get_docstring(node) or "").partition("\n\n")
            caption = canonical_line(head)
            tells = len(caption.split()) >= _CAPTION_WORDS_MIN and bool(body)
            text = "\n\n".join(prose_paragraphs(body if tells else f"{head}\n\n{body}"))
            chunks = chunk_text(text, words_max=ITEM_WORDS_MAX, words_target=ITEM_WORDS_TARGET)
            for place, item in enumerate(chunks):
                if len(item.split()) >= ITEM_WORDS_MIN:
                    yield item, caption if tells and place == 0 else None


def _documented(module: ast.Module) -> Iterator[_Documented]:
    """What can have a documentation string, outer before inner, without a look at expressions."""
    waiting: deque[ast.AST] = deque([module])
    while waiting:
        node = waiting.popleft()
        for block in ("body", "handlers", "orelse", "finalbody", "cases"):
            inside = getattr(node, block, ())
            waiting.extend(inside if isinstance(inside, list) else ())
        if isinstance(node, _Documented):
            yield node


def _sources(modules: tuple[str, ...]) -> Iterator[Path]:
    for name in modules:
        found = importlib.util.find_spec(name)
        # Some distributions split modules off (tkinter), newer versions drop some (cgi): the rest is enough.
        if found is None or found.origin is None or not found.origin.endswith(".py"):
            continue
        path = Path(found.origin)
        if path.name != "__init__.py":
            yield path
            continue
        inside = sorted(path.parent.rglob("*.py"))
        yield from (one for one in inside if not {"test", "tests"} & set(one.relative_to(path.parent).parts))


def _shingles(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[a-z]+", text.lower())
    return {tuple(words[at : at + SHINGLE_WORDS]) for at in range(max(1, len(words) - SHINGLE_WORDS + 1))}
