"""The justfile: its recipes are those CONTRIBUTING names, and lines that work by hand."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.support.documents import ROOT, read

RECIPE = re.compile(r"^([a-z-]+)(?: [^:]*)?:(.*)\n((?:    .+\n)*)", re.MULTILINE)
RECIPES = {name: (needs.split(), body) for name, needs, body in RECIPE.findall(read("justfile"))}


def test_recipes__are_those_that_contributing_names() -> None:
    named = re.findall(r"^\| `([a-z-]+)` \|", read("CONTRIBUTING.md"), re.MULTILINE)
    assert named == list(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_recipe__is_one_line_that_a_shell_can_read(name: str) -> None:
    needs, body = RECIPES[name]
    assert set(needs) <= RECIPES.keys()
    lines = body.splitlines()
    assert len(lines) == (0 if needs else 1)
    for line in lines:
        subprocess.run(["bash", "-n", "-c", line.replace("{{", "").replace("}}", "")], check=True)


def test_files_the_recipes_run__are_there() -> None:
    named = {word for _, body in RECIPES.values() for word in re.findall(r"[.\w/]+/[.\w/]+", body)}
    assert named >= {".ci/checks", "docs/generate_cli_reference.py"}
    assert all((ROOT / word).exists() for word in named)
