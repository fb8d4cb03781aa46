"""The table's bounds on 30 real encoders: what the hardened rule holds today, one seed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from node.bench.measure import Figures
from node.bench.shards import default_settings
from node.bench.table import BETTER, cases_of, measured
from node.bench.texts import Split
from scoring import HARDENED
from tests.adversaries.test_hold import HELD, NOTHING

DISPLACED = 0.02
"""The most that the consensus may move, in mean 1 - cosine over items."""

pytestmark = [pytest.mark.slow, pytest.mark.minilm, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Figures]:
    """The hardened rule's figures of one seed by attack and setting."""
    torch.set_num_threads(1)
    attacks = [*HELD, "lazy", "near-copies-99", "near-copies-97", "near-copies-90", "constant-shift", BETTER]
    folder: Path = tmp_path_factory.mktemp("bench")
    results = measured(cases_of(attacks, default_settings(), 1), Split.TUNE, folder)
    return {(case.attack, case.setting.name): by_rule[HARDENED.name] for case, by_rule in results}


@pytest.mark.parametrize("setting", ["3 of 30", "10 of 30", "14 of 30", "1 of 8"])
@pytest.mark.parametrize("attack", [*HELD, "lazy"])
def test_hardened__holds_it_at_every_share_of_30_and_1_of_8(
    figures: dict[tuple[str, str], Figures], attack: str, setting: str
) -> None:
    found = figures[attack, setting]
    assert found.weight_captured <= NOTHING
    assert found.displacement <= DISPLACED
    assert found.false_alarms <= 0.07  # one of 16 beside 14 that frame


@pytest.mark.parametrize("attack", ["near-copies-99", "near-copies-97", "near-copies-90", "constant-shift"])
def test_hardened__counts_copies_as_one_vote(figures: dict[tuple[str, str], Figures], attack: str) -> None:
    for setting in default_settings():
        assert figures[attack, setting.name].weight_captured <= 0.25 + 1e-9


def test_better_encoder__gains_weight_and_shifts_the_consensus_its_way(
    figures: dict[tuple[str, str], Figures],
) -> None:
    found = figures[BETTER, "1 of 30"]
    assert found.weight_captured > 3 / 30
    assert found.attacker_score > found.honest_score
    assert found.pull > 0.05
