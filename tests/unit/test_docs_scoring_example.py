"""The worked example of docs/scoring.md: executed, and its table is what it computes."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from protocol.epochs.learnt import FIRST_SHAPING_PERCENT, STEPS_PER_UNIT
from scoring.shaping import shaping_from_moments
from tests.support.documents import read
from tests.support.page_code import executed_blocks, run_all

PAGE = "docs/scoring.md"
HEAD = (
    "| encoder | G | R | LOF | similarity | innovation | leak | S | weight | literal loss | literal weight |"
)
MEASURED = (
    "discrimination",
    "differential",
    "local_outlier_factor",
    "majority_similarity",
    "innovation",
    "leak",
)
ROUNDING = 0.006
"""Half of the last digit shown, and what sums of floats may differ by."""


@cache
def _names() -> dict[str, Any]:
    return run_all(executed_blocks(PAGE))


def _table() -> list[list[str]]:
    _, _, rest = read(PAGE).partition(HEAD + "\n")
    lines = rest.partition("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_example__table_is_what_the_page_computes() -> None:
    names = _names()
    rows = _table()
    assert [row[0] for row in rows] == names["names"]
    for place, (_, *cells) in enumerate(rows):
        told = [float(cell) for cell in cells if cell]
        measured = [float(names["terms"][term][place]) for term in MEASURED] if place < 6 else []
        results = [float(names["hardened"].score[place]), float(names["hardened"].weight[place])]
        loss = float(names["literal"][place]) if place < 6 else 0.0
        found = [*measured, *results, loss, float(names["naive"].weight[place])]
        assert told == pytest.approx(found, abs=ROUNDING)


def test_example__shows_what_the_page_says_of_it() -> None:
    names = _names()
    place = {name: number for number, name in enumerate(names["names"])}
    literal, score = names["literal"], names["hardened"].score
    good, fair, poor, zeros = (place[name] for name in ("good", "fair", "poor", "zeros"))
    assert score[good] > score[fair] > score[poor] > 0
    assert literal[good] > literal[fair] > literal[poor]
    assert float(names["naive"].weight[zeros]) > 0.98
    assert float(score[place["one forward"]]) == 0.0
    closed = {gate for gate in names["hardened"].terms if gate.endswith("_ramp")}
    closed = {gate for gate in closed if float(names["hardened"].terms[gate][place["one forward"]]) == 0.0}
    assert closed == {"innovation_ramp", "leak_ramp"}


def test_shaping__of_the_page_is_the_packages() -> None:
    rows = json.loads(read("tests/vectors/learning.json"))
    seen = 0
    for row in rows:
        told = msgspec.msgpack.decode(bytes.fromhex(row["moments"]))
        centred, uncentred, products = told
        told = (*told, FIRST_SHAPING_PERCENT)
        group = centred if centred[0] else uncentred
        if not group[0]:
            continue
        seen += 1
        mean = np.frombuffer(group[1], "<i8") / (group[0] * STEPS_PER_UNIT)
        size = len(mean)
        square = np.zeros((size, size))
        square[np.triu_indices(size)] = np.frombuffer(products, "<i8")
        square = (square + np.triu(square, 1).T) / (group[0] * STEPS_PER_UNIT**2)
        expected = shaping_from_moments(torch.from_numpy(mean), torch.from_numpy(square), 0.25).transform
        subtracted, transform = _names()["shaping"](told)
        assert np.allclose(transform, expected.numpy(), atol=1e-9)
        assert np.allclose(subtracted, mean if centred[0] else 0.0)
        assert np.allclose(np.linalg.norm(_names()["published"](mean + 1.0, told)), 1.0)
    assert seen >= 2


def test_example__gives_the_cap_that_the_page_names() -> None:
    names = _names()
    score, mass = names["hardened"].score, names["hardened"].terms["mass"]
    cap = 1 / float((score / score.max() / mass).sum())
    found = re.search(r"independent encoders it is (\.\d\d)", " ".join(read(PAGE).split()))
    assert found is not None
    assert float(found[1]) == pytest.approx(cap, abs=ROUNDING)
