"""Builds the pages as a web site: `python docs/build_site.py [--to FOLDER]`, by default build/site.

The pages are those a forge renders, at the same relative places, so that their links hold in both. The menu
is what docs/index.md lists under its headings. A link or anchor that leads nowhere fails the build. Fonts are
the reader's own, and nothing is loaded from elsewhere.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_TOP = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE")
_SECTION = re.compile(r"^## (.*?)\n(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)
_ROW = re.compile(r"^\| \[([^\]]+)\]\(([^)]+)\) \|(?: ([^|]*?) \|)?", re.MULTILINE)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_MENU_WORDS_MAX = 8
_CONFIG = """[project]
site_name = "deltamesh"
site_description = "A peer-to-peer network whose embeddings you can check instead of trust."
docs_dir = "pages"
site_dir = "site"
use_directory_urls = false
nav = {menu}

[project.theme]
font = false
features = ["content.code.copy", "navigation.footer", "navigation.top", "search.highlight"]

[[project.theme.palette]]
media = "(prefers-color-scheme)"

[project.markdown_extensions.tables]
[project.markdown_extensions.toc]
permalink = true
[project.markdown_extensions.pymdownx.superfences]
[project.markdown_extensions.pymdownx.highlight]
"""


def menu() -> list[tuple[str, list[tuple[str, str]]]]:
    """Headings of the index, each with titles and paths of its pages; a record has its number in front."""
    text = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    found = []
    for heading, body in _SECTION.findall(text):
        rows = _ROW.findall(body)
        found.append((heading, [(_title(name, what), f"docs/{page}") for name, page, what in rows]))
    return found


def _title(name: str, what: str) -> str:
    if not name.isdigit():
        return name
    words = what.replace("`", "").split()
    return " ".join([name, *words[:_MENU_WORDS_MAX], *(["..."] if len(words) > _MENU_WORDS_MAX else [])])


def sources() -> Iterator[str]:
    """What the site is made of, by path from the root."""
    yield from _TOP
    for path in sorted((ROOT / "docs").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".safetensors":
            yield str(path.relative_to(ROOT))
    # What pages link to beside pages.
    yield from ("justfile", "tests/vectors/README.md")


def build(target: Path) -> int:
    """Write the site to `target`, in place of what was there; the exit code, not 0 when a link is broken."""
    with tempfile.TemporaryDirectory() as folder:
        stage = Path(folder)
        for name in sources():
            if (ROOT / name).exists():
                copy = stage / "pages" / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, copy)
        entries: list[object] = [{"deltamesh": "README.md"}, {"Documentation": "docs/index.md"}]
        entries += [{heading: [{title: page} for title, page in pages]} for heading, pages in menu()]
        entries.append({"Project": ["CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"]})
        (stage / "zensical.toml").write_text(_CONFIG.format(menu=_toml(entries)), encoding="utf-8")
        command = [sys.executable, "-m", "zensical", "build", "--strict"]
        ended = subprocess.run(command, cwd=stage, capture_output=True, text=True, check=False)
        if ended.returncode:
            sys.stderr.write(_COLOUR.sub("", ended.stdout + ended.stderr))
            return ended.returncode
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(stage / "site", target)
    return 0


def _toml(value: object) -> str:
    """Lists, tables and strings as TOML on one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="Build the documentation as a web site.")
    arguments.add_argument(
        "--to", type=Path, default=ROOT / "build" / "site", help="the folder it is written to"
    )
    raise SystemExit(build(arguments.parse_args().to))
