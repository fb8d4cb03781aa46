"""The README: its commands are the real ones, its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.documents import ROOT, commands_in, mistake_in, pages, read

SETUP = re.compile(r"^```sh\n(python3 -m venv .*)\n```$", re.MULTILINE)
LINK = re.compile(r"(?<!`)\[[^\]\n]*\]\(([^)\s]+)\)")
PAGES = pages()


def test_readme__first_screen_has_exactly_two_setup_commands() -> None:
    commands = SETUP.findall(read("README.md"))
    assert len(commands) == 2
    run, test = commands
    assert run.startswith("python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e . && ")
    assert run.endswith(".venv/bin/deltamesh testnet up --rounds 3")
    assert test.startswith(
        "python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e '.[dev]' && "
    )
    assert read("README.md").index(test) < read("README.md").index("\n## ")


def test_readme__its_test_command_is_the_one_ci_runs() -> None:
    test = SETUP.findall(read("README.md"))[1].rpartition(" && ")[2].removeprefix(".venv/bin/")
    script = read(".ci/run")
    assert test.startswith("python -m pytest")
    assert test.replace("python", '"$python"', 1) + " </dev/null" in script
    assert "-m pip install --quiet -c constraints.txt -e '.[dev]'" in script
    assert script.rindex('step "') == script.index(f'step "the README\'s test command: {test}"')


def test_readme__names_the_torch_that_is_pinned() -> None:
    pinned = re.findall(r"^torch==.*$", read("constraints.txt"), re.MULTILINE)
    assert pinned == [f"torch=={version}" for version in ["2.13.0"]]
    assert f"`{pinned[0]}`" in read("README.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages__every_relative_link_resolves(page: Path) -> None:
    targets = [t for t in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in t]
    broken = []
    for target in targets:
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in _anchors(file)):
            broken.append(target)
    assert not broken, f"{page.relative_to(ROOT)} links to {broken}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages__every_command_is_one_the_command_line_knows(page: Path) -> None:
    found = list(commands_in(page.read_text(encoding="utf-8")))
    mistakes = {" ".join(words): wrong for words in found if (wrong := mistake_in(list(words))) is not None}
    assert not mistakes, f"{page.relative_to(ROOT)}: {mistakes}"


@pytest.mark.parametrize(
    ("line", "mistake"),
    [
        ("deltamesh testnet up --round 3", "no such option: --round"),
        ("deltamesh tesnet up", "no such command: tesnet"),
        ("deltamesh verify one.dmr two.dmr", "2 arguments, it takes 1"),
        ("deltamesh submit - --home", "--home needs a value"),
        ("deltamesh verify -- --one --two", "2 arguments, it takes 1"),
    ],
)
def test_mistakes__are_found_in_commands_that_would_fail(line: str, mistake: str) -> None:
    (words,) = commands_in(f"```sh\n{line}\n```\n")
    assert mistake_in(words) == mistake


def test_commands__are_found_in_blocks_prompts_and_text() -> None:
    text = (
        "```console\nalpha$ deltamesh status --json | head\n```\nthen `deltamesh keys show` or `deltamesh`\n"
    )
    assert list(commands_in(text)) == [["status", "--json"], ["keys", "show"]]


def _anchors(file: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
