"""Whom medians hear that judge an encoder: not those who leak, and of few not the encoder itself in doubt."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from scoring import HARDENED, HARDENED_4, Ramp, score_shard
from tests.support.synthetic_encoders import honest_shard
from tests.unit.test_scoring_in_numpy import half_fabricated

torch.set_num_threads(1)

OWN_SAY = replace(HARDENED, own_say_gate=None)


def test_own_say__of_few_makes_nobody_innovate() -> None:
    shard = half_fabricated()
    by_itself, found = (score_shard(*shard.arguments, rule=rule) for rule in (OWN_SAY, HARDENED))
    gate = HARDENED.innovation_gate
    assert gate is not None
    assert gate.zero_at < by_itself.terms["innovation"][6] < gate.one_at  # in doubt
    assert by_itself.score[6] > 0.5
    assert found.terms["innovation"][6] < gate.zero_at
    assert found.score[6:].tolist() == [0, 0]
    torch.testing.assert_close(found.score[:6], by_itself.score[:6], rtol=0.0, atol=0.0)


def test_own_say__is_taken_by_degrees_and_no_rounding_error_decides() -> None:
    shard = half_fabricated()
    own = float(score_shard(*shard.arguments, rule=OWN_SAY).terms["innovation"][6])
    gates = (Ramp(own - 0.06, own + apart) for apart in (-1e-6, 1e-6))  # just through, and just not
    through, not_quite = (
        score_shard(*shard.arguments, rule=replace(HARDENED, own_say_gate=gate)) for gate in gates
    )
    assert through.terms["innovation"][6] == own
    for found, expected in ((not_quite.terms["innovation"], own), (not_quite.score, through.score[6])):
        assert float(found[6]) == pytest.approx(float(expected), abs=1e-3)


def test_own_say__of_many_is_little_and_stays() -> None:
    shard = half_fabricated()
    rule = replace(HARDENED, own_say_min=8)  # as many as are heard
    found, before = (score_shard(*shard.arguments, rule=one) for one in (rule, OWN_SAY))
    torch.testing.assert_close(found.score, before.score, rtol=0.0, atol=0.0)


@pytest.mark.parametrize("encoders", [3, 4, 8])
def test_own_say__costs_the_honest_nothing(encoders: int) -> None:
    shard = honest_shard([1.0 + 0.2 * n for n in range(encoders)], items=128, dimension=128)
    found, before = (score_shard(*shard.arguments, rule=rule) for rule in (HARDENED, HARDENED_4))
    torch.testing.assert_close(found.score, before.score, rtol=0.0, atol=0.0)
    assert (found.score > 0.3).all()
