"""docs/doctor.md names the checks there are, with the questions they ask, and the figures they judge by."""

from __future__ import annotations

import re

from config.contradictions import contradictions
from config.settings import load_settings
from node.cli.doctor import MARKS
from node.doctor.checks.files import QUICK_CHECK_BYTES_MAX
from node.doctor.finding import Verdict
from node.doctor.registry import CHECKS, Group
from node.doctor.visiting import VISITS_MAX
from protocol.gossip_rules import CLOCK_SKEW_MS
from tests.support.documents import read

PAGE = read("docs/doctor.md")
ROW = re.compile(r"^\| `([a-z-]+)` \| ([^|]+\?) \| ([^|]+) \|$", re.MULTILINE)


def test_page__has_every_check_with_its_question_in_its_group() -> None:
    for group in Group:
        section = re.split(r"^#", PAGE.split(f"### {group.value.capitalize()}\n")[1], flags=re.MULTILINE)[0]
        told = [(name, asks) for name, asks, _ in ROW.findall(section)]
        assert told == [(check.name, check.asks) for check in CHECKS if check.group is group]
    assert len(ROW.findall(PAGE)) == len(CHECKS)


def test_checks__have_names_of_their_own_that_fit_their_column() -> None:
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 11
    order = [list(Group).index(check.group) for check in CHECKS]
    assert order == sorted(order), "the report has one part a group"


def test_page__has_every_verdict_with_its_mark() -> None:
    rows = re.findall(r"^\| (.) \| `(\w+)` \|", PAGE, re.MULTILINE)
    assert [(mark, name) for mark, name in rows] == [(MARKS[one.value], one.value) for one in Verdict]


def test_page__has_the_figures_of_the_code() -> None:
    deadlines = sorted({check.deadline_s for check in CHECKS})
    assert f"between {deadlines[0]:g} and {deadlines[-1]:g} seconds" in PAGE
    assert f"{VISITS_MAX} at most" in PAGE
    assert f"Over {QUICK_CHECK_BYTES_MAX >> 20} MiB" in PAGE
    assert (
        f"more than {CLOCK_SKEW_MS / 4_000:g} s is a warning, by more than {CLOCK_SKEW_MS / 1_000:g} s"
        in PAGE
    )
    assert f"{len(CHECKS)} checks in" in PAGE


def test_page__has_every_contradiction_of_settings() -> None:
    told = {
        tuple(re.findall(r"`(\w+)`", row))
        for row in re.findall(r"^\| (`[^|]+) \| [^|?]+ \|$", PAGE, re.MULTILINE)
    }
    provoked = [
        {"api": "0.0.0.0:1", "api_access": "open"},
        {"metrics": "0.0.0.0:7700", "listen": "/ip4/0.0.0.0/tcp/7700"},
        {"api": "127.0.0.1:7700", "listen": "/ip4/0.0.0.0/tcp/7700"},
        {"announce": "/ip4/192.0.2.1/tcp/7700"},
        {"connections_max": 8},
    ]
    environment = {"DELTAMESH_HOME": "/nonexistent"}
    found = {one.keys for flags in provoked for one in contradictions(load_settings(flags, environment))}
    assert found == told
