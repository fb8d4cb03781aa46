"""The rule as data: ramps, presets, refusals."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from protocol.epochs.learnt import shaping_percent
from scoring import (
    HARDENED,
    HARDENED_1,
    HARDENED_2,
    HARDENED_3,
    HARDENED_4,
    LITERAL,
    RULES,
    Ramp,
    ScoringError,
    ScoringRule,
    rule_by_name,
)

ends = st.floats(-10, 10, allow_nan=False)


@given(zero_at=ends, one_at=ends, x=ends, y=ends)
def test_ramp__is_monotone_between_its_ends_and_clipped(
    zero_at: float, one_at: float, x: float, y: float
) -> None:
    if zero_at == one_at:
        with pytest.raises(ScoringError, match="no slope"):
            Ramp(zero_at, one_at)
        return
    low, high = Ramp(zero_at, one_at)(torch.tensor(sorted([x, y]), dtype=torch.float64)).tolist()
    assert min(low, high) >= 0
    assert max(low, high) <= 1
    assert (low <= high) if zero_at < one_at else (low >= high)
    assert Ramp(zero_at, one_at)(torch.tensor([zero_at, one_at], dtype=torch.float64)).tolist() == [0, 1]


def test_ramp__clips_infinities() -> None:
    assert Ramp(2.0, 1.5)(torch.tensor([torch.inf, -torch.inf])).tolist() == [0, 1]


def test_rule_by_name__finds_every_preset_and_names_them_otherwise() -> None:
    assert rule_by_name("hardened-5") is HARDENED
    assert rule_by_name("hardened-4") is HARDENED_4
    assert rule_by_name("hardened-3") is HARDENED_3
    assert rule_by_name("hardened-2") is HARDENED_2
    assert rule_by_name("hardened") is HARDENED_1
    assert rule_by_name("literal") is LITERAL
    assert ScoringRule() == HARDENED
    with pytest.raises(ScoringError, match="hardened-3, hardened-4, hardened-5, literal"):
        rule_by_name("hardend")


def test_predecessors__keep_the_constants_their_networks_agreed_on() -> None:
    assert HARDENED_1.temperatures == (0.05, 0.07, 0.1, 0.15)
    assert replace(HARDENED_1, name="hardened-2", temperatures=(0.05, 0.2)) == HARDENED_2
    assert (HARDENED_2.live_share_min, HARDENED_2.peer_share_min) == (0.5, 0.0)
    assert replace(HARDENED_2, name="hardened-3", live_share_min=0.75, peer_share_min=0.75) == HARDENED_3
    assert (HARDENED_3.block_items, HARDENED_3.shaping_power) == (64, 0.25)
    assert replace(HARDENED_3, name="hardened-4", block_items=128, shaping_power=0.3) == HARDENED_4
    assert HARDENED_4.heard_leak_max is None
    assert replace(HARDENED_4, name="hardened-5", heard_leak_max=0.2) == HARDENED


@pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
def test_shaping__is_the_same_by_the_rule_and_by_the_moments(rule: ScoringRule) -> None:
    assert shaping_percent(rule.name) == round(100 * rule.shaping_power)


@pytest.mark.parametrize(("live", "majority"), [(1, 1), (2, 1), (3, 1), (4, 2), (8, 4), (9, 4), (64, 32)])
def test_majority__is_half_of_the_live_encoders_rounded_down(live: int, majority: int) -> None:
    assert HARDENED.majority(live) == majority


@pytest.mark.parametrize(
    "change",
    [
        {"block_items_min": 1},
        {"block_items": 4},
        {"items_min": 1},
        {"encoders_min": 1},
        {"n_neighbors": 0},
        {"temperatures": ()},
        {"temperatures": (0.1, 0.0)},
        {"live_share_min": 1.5},
        {"peer_share_min": -0.1},
        {"copy_likeness_min": 0.0},
        {"heard_of_a_kind": 0},
        {"heard_leak_max": 0.31},
        {"leak_gate": None},
        {"innovation_quantile": 1.1},
        {"weight_cap": 0.0},
        {"weight_cap": 1.1},
        {"tolerance": -1.0},
        {"literal_scale": 0.0},
    ],
)
def test_scoring_rule__constants_without_meaning_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ScoringError):
        replace(HARDENED, **change)  # type: ignore[arg-type]
