"""docs/evaluation.md says of every figure what it is, and of every modality what its sample is."""

from __future__ import annotations

import re

import pytest

from node.evaluation.exam import METRICS, NEIGHBOURS
from node.evaluation.metrics.clustering import STARTS
from node.evaluation.metrics.discrimination import BLOCK_ITEMS
from node.evaluation.metrics.estimate import COVERED, RESAMPLES
from node.evaluation.samples import SAMPLES
from tests.support.documents import read

PAGE = read("docs/evaluation.md").replace(r"\|", "|")


@pytest.mark.parametrize("heading", [metric.heading for metric in METRICS.values()])
def test_figures__each_has_its_row(heading: str) -> None:
    task, _, figure = heading.rpartition(" ")
    rows = [
        line for line in PAGE.splitlines() if line.startswith(f"| {task or figure}") or f", {figure}" in line
    ]
    assert any(figure in row or figure.startswith("R@") for row in rows)


def test_samples__each_modality_has_its_row() -> None:
    table = PAGE.partition("## The data")[2].partition("## ")[0]
    assert re.findall(r"^\| (\w+) \|", table, re.MULTILINE)[1:] == list(SAMPLES)


def test_constants__are_those_of_the_code() -> None:
    assert f"{RESAMPLES:,} bootstrap resamples" in PAGE
    assert f"{COVERED:.0%}".replace("%", " %") in PAGE
    assert f"in blocks of {BLOCK_ITEMS}" in PAGE
    assert (STARTS, NEIGHBOURS) == (5, 5)
    assert "Mean of five starts" in PAGE
    assert "the vote of the five nearest" in PAGE
