"""docs/shard-size.md tells the figures that the arithmetic gives."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import pytest

from config.presets import PRESETS
from protocol.planning import Budget, Population, ShardOdds, plan_shard
from tests.support.cli import deltamesh
from tests.support.documents import read

PAGE = read("docs/shard-size.md")
BUDGET = Budget(Fraction(1, 10**9), Fraction(1, 100))
SHARES = {"20 %": Fraction(1, 5), "a third": Fraction(1, 3)}


@pytest.mark.parametrize("bad", list(SHARES))
def test_sizes__of_the_table_are_those_planned(bad: str) -> None:
    row = re.search(rf"^\| {bad} \| (\d+) \| (\d+) \| (\d+) \|$", PAGE, re.MULTILINE)
    assert row is not None
    for nodes, size in zip((100, 1_000, 5_000), row.groups(), strict=True):
        assert plan_shard(Population.of_shares(nodes, SHARES[bad], Fraction(0)), BUDGET).size == int(size)


@pytest.mark.parametrize(
    ("preset", "nodes", "share", "told"),
    [
        ("testnet", 1_000, Fraction(1, 5), "9.6e-10"),
        ("testnet", 5_000, Fraction(1, 5), "3.6e-9"),
        ("testnet", 1_000, Fraction(1, 10), "1.5e-20"),
        ("testnet", 1_000, Fraction(1, 4), "7.0e-7"),
        ("testnet", 1_000, Fraction(1, 3), "8.9e-4"),
        ("localnet", 100, Fraction(1, 5), "4.4e-4"),
    ],
)
def test_presets__buy_what_the_page_says(preset: str, nodes: int, share: Fraction, told: str) -> None:
    size = PRESETS[preset].parameters.shard_size
    takeover = float(ShardOdds(Population.of_shares(nodes, share, Fraction(0))).takeover(size))
    assert f"| {told} |" in PAGE
    assert float(f"{takeover:.1e}") == float(told)


def test_lying_dealer__has_the_chances_the_page_tells() -> None:
    parameters, odds = PRESETS["testnet"].parameters, ShardOdds(Population(1_000, 200, 0))
    assert f"`encoders_min` is {parameters.encoders_min} in `testnet`" in PAGE
    assert f"{float(odds.censored(parameters.shard_size, parameters.encoders_min)):.2%}" == "99.95%"
    quorum = plan_shard(Population(1_000, 200, 0), BUDGET).quorum
    assert f"With {quorum}, the" in PAGE
    assert f"{float(odds.censored(parameters.shard_size, quorum)):.2%}" == "0.11%"
    assert "99.95 %" in PAGE
    assert "0.11 %" in PAGE


def test_picture__is_what_the_command_draws(tmp_path: Path) -> None:
    deltamesh("plan", "shard", "--nodes", 1000, "--picture", tmp_path / "shard.svg")
    drawn = (tmp_path / "shard.svg").read_text()
    assert drawn == read("docs/images/shard.svg"), "run `deltamesh plan shard` with --picture"
