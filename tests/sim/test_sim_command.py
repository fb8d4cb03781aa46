"""`deltamesh sim`."""

from __future__ import annotations

import pytest

import node.sim.observer
from node.cli.errors import ExitCode
from tests.support.cli import deltamesh


def test_one_seed__prints_its_trace_and_hash() -> None:
    first = deltamesh("sim", "--seed", 4, "--trace")
    assert first.code == ExitCode.OK, first.err
    assert first.out == deltamesh("sim", "--seed", 4, "--trace").out
    assert "says challenge 0/0" in first.out
    assert "1 seed, " in first.out.splitlines()[-1]


def test_seeds__are_told_as_json() -> None:
    ended = deltamesh("sim", "--seeds", 2, "--first", 7, "--json", "--loss", 30)
    assert [one["seed"] for one in ended.json] == [7, 8]
    assert all(one["scenario"]["links"].startswith("30 % lost") for one in ended.json)


def test_processes__share_the_seeds_and_change_nothing() -> None:
    alone, shared = (deltamesh("sim", "--seeds", 4, "--processes", n, "--json").json for n in (1, 2))
    assert alone == shared


def test_long_run__says_where_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.cli.sim.SAY_EVERY", 2)
    ended = deltamesh("sim", "--seeds", 3, "--first", 7, "--rounds", 1)
    assert ended.err == "2 seeds are done; go on with --first 9\n"


def test_explain__runs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.sim.many.simulate", None)
    ended = deltamesh("sim", "--seed", 7, "--explain", "--validators", 9)
    assert ended.code == ExitCode.OK
    assert "9 validators" in ended.out


def test_broken_invariant__exits_with_refused_and_prints_the_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node.sim.observer, "ROUNDS_OPEN_MAX", 0)
    ended = deltamesh("sim", "--seeds", 1, "--first", 3, "--crashes", 0)
    assert ended.code == ExitCode.REFUSED
    assert "seed 3: bounded" in ended.err
    assert "replay: deltamesh sim --seed 3 --crashes 0 --trace" in ended.err
    assert "VIOLATED bounded" in deltamesh("sim", "--seed", 3, "--crashes", 0, "--trace").out


@pytest.mark.parametrize("arguments", [["--trace"], ["--explain"], ["--validators", 2]])
def test_what_cannot_be_done__is_said_in_one_sentence(arguments: list[object]) -> None:
    ended = deltamesh("sim", *arguments)
    assert ended.code == ExitCode.BAD_INPUT
    assert ended.error
