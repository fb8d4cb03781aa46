"""docs/scoring.md gives every constant of the scoring rule, with the values of the presets."""

from __future__ import annotations

import dataclasses
import math
import re

import pytest

from scoring import HARDENED, LITERAL, Ramp, ScoringRule
from tests.support.documents import read

ROWS = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|$", read("docs/scoring.md"), re.MULTILINE)


@pytest.mark.parametrize("column", [1, 2], ids=["hardened", "literal"])
def test_presets__have_the_constants_of_the_page(column: int) -> None:
    rule = (HARDENED, LITERAL)[column - 1]
    told = {row[0]: row[column] for row in ROWS}
    assert told == {f.name: shown(getattr(rule, f.name)) for f in dataclasses.fields(ScoringRule)}


def shown(value: object) -> str:
    """A constant as the page writes it."""
    match value:
        case None:
            return "none"
        case Ramp(zero_at=zero_at, one_at=one_at):
            return f"{zero_at:g} to {one_at:g}"
        case tuple():
            return ", ".join(f"{part:g}" for part in value)
        case float() if math.isinf(value):
            return "infinite" if value > 0 else "-infinite"
        case float():
            return f"{value:g}"
    return str(value)
