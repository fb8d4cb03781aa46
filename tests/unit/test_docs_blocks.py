"""What pages show as code is code: Python compiles and, where marked, runs; shell, TOML, JSON are read."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.support.documents import ROOT, pages, read

_BLOCK = re.compile(r"^(<!-- executed -->\n)?```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_SIGNATURE = re.compile(r"[\w.]+\([^\n]*\) -> [^\n]+\n")
_MINE = ("docs/write-your-own-encoder.md",)
"""Pages whose marked blocks are run here."""
KINDS = {"sh", "console", "text", "python", "toml", "json", "ini", "yaml", "html", "promql"}


def blocks(text: str, kind: str) -> list[str]:
    return [source for _, found, source in _BLOCK.findall(text) if found == kind]


def fault_of(kind: str, source: str) -> str | None:
    """Why a reader of that language would refuse the block."""
    try:
        if kind == "python":
            # A signature alone, as `machine.handle(event) -> list[Effect]`, will do too.
            ast.parse(
                source
                if not _SIGNATURE.fullmatch(source)
                else f"def f{source[source.index('(') :].rstrip()}: ..."
            )
        elif kind == "toml":
            tomllib.loads(source)
        elif kind == "json":
            json.loads(source)
    except (SyntaxError, ValueError) as error:
        return str(error)
    return None


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks__are_of_known_languages_and_can_be_read(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count("\n```") % 2 == 0, "a block has no end"
    for _, kind, source in _BLOCK.findall(text):
        assert kind in KINDS, f"{page.name}: a block of '{kind}'"
        assert fault_of(kind, source) is None, f"{page.name}: {source}"


def test_shell_blocks__are_read_by_a_shell() -> None:
    everything = [(page, source) for page in pages() for source in blocks(page.read_text("utf-8"), "sh")]
    # One shell for all: each block is a function of its own, and no quote left open can hide in the next.
    for start in range(0, len(everything), 50):
        part = everything[start : start + 50]
        script = "".join(f"block{i}() {{\n{source}\n}}\n" for i, (_, source) in enumerate(part))
        ended = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, f"{ended.stderr} in {sorted({page.name for page, _ in part})}"
    assert len(everything) > 50


@pytest.mark.parametrize(
    ("kind", "source"), [("python", "def f(:"), ("toml", "a = "), ("json", "{'a': 1}"), ("python", "a b")]
)
def test_faults__are_found_in_blocks_that_cannot_be_read(kind: str, source: str) -> None:
    assert fault_of(kind, source) is not None


@pytest.mark.parametrize("page", _MINE)
def test_marked_blocks__run(page: str) -> None:
    marked = [source for mark, kind, source in _BLOCK.findall(read(page)) if mark and kind == "python"]
    assert len(marked) >= 2
    for source in marked:
        names: dict[str, object] = {}
        exec(compile(source, page, "exec"), names)
        encode = names["encode"]
        assert callable(encode)
        assert len(encode(["the boats stay", "in the harbour"])) == 2


_FILE = re.compile(
    r"`(?:python(?:3)? )?((?:node|protocol|scoring|config|tests|docs|benchmarks|\.ci)/[\w./@-]+)[`: ]"
)
_MODULE = re.compile(r"python -m ((?:benchmarks|node)[\w.]+)")


def missing_in(text: str, folder: Path) -> list[str]:
    """Files and modules that a page names and that are not in the repository."""
    modules = [name.replace(".", "/") for name in _MODULE.findall(text)]
    made = [name for name in modules if not any((folder / f"{name}{end}").exists() for end in (".py", ""))]
    return made + [name for name in _FILE.findall(text) if not (folder / name.rstrip(".")).exists()]


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_files__that_a_page_names_are_there(page: Path) -> None:
    assert missing_in(page.read_text(encoding="utf-8"), ROOT) == []


def test_files__that_are_not_there_are_found() -> None:
    text = "`node/gone.py` and `python benchmarks/gone.py --x`, python -m benchmarks.gone, `node/run.py`"
    assert missing_in(text, ROOT) == ["benchmarks/gone", "node/gone.py", "benchmarks/gone.py"]
