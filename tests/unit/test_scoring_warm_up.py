"""Warming up compiles what a round needs: a first round that compiles misses its slot."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.cli import ROOT

NOT_CALLED = """
from scoring import warm_up
warm_up()
from numba.core.dispatcher import Dispatcher
from scoring.compiled import caps, first_look, fragments, medians, pairs, rows
for module in (caps, first_look, fragments, medians, pairs, rows):
    for name, kernel in vars(module).items():
        if isinstance(kernel, Dispatcher) and not name.startswith("_") and not kernel.signatures:
            print(name)
"""
COMPILED_LATER = """
import torch
from numba.core.dispatcher import Dispatcher
from scoring import LITERAL, score_shard, warm_up
from scoring.compiled import caps, first_look, fragments, medians, pairs, rows
from tests.support.synthetic_encoders import honest_shard

def signatures():
    modules = caps, first_look, fragments, medians, pairs, rows
    kernels = [one for module in modules for one in vars(module).values() if isinstance(one, Dispatcher)]
    return {(kernel.__name__, signature) for kernel in kernels for signature in kernel.signatures}

def turned(x):
    return x.T.contiguous().T

warm_up()
before = signatures()
shard = honest_shard([1.6, 1.9, 2.2, 2.5, 2.8, 3.1], items=70, masks=2, dimension=40)
full, mask, inverse, share = shard.arguments
dead = full.clone()
dead[1, :50] = torch.nan
forged = inverse.clone()
forged[4] = mask[4]  # the medians are taken again, without it
for rule in ({}, {"rule": LITERAL}):
    for answers in ((full, mask, inverse), (dead, mask, inverse), (full, mask, forged)):
        plain = score_shard(*answers, share, **rule)
        assert plain.score.max() > 0
        known = {"means": turned(plain.means), "valid": turned(plain.valid)}
        items_first = (x.transpose(0, 1).contiguous().transpose(0, 1) for x in answers)
        score_shard(*items_first, share, **rule, **known)
many = torch.randn(300, 64, 3, 16, generator=torch.Generator().manual_seed(1))
score_shard(many[:, :, 0], many[:, :, 1:2], many[:, :, 2:], torch.full((64, 1), 0.5), LITERAL)
print(sorted(name for name, _ in signatures() - before))
"""
# They serve `local_outlier_factor` and `differential_literal`, which a round does not call: what it needs of
# them is measured in passes that answer more.
OF_NO_ROUND = {"copy_present", "outlier_factors", "literal_losses"}


@pytest.mark.slow
def test_warm_up__calls_every_kernel_of_a_round() -> None:
    done = subprocess.run(
        [sys.executable, "-c", NOT_CALLED], cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == OF_NO_ROUND


@pytest.mark.slow
def test_warm_up__leaves_nothing_to_compile_whatever_is_answered() -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMPILED_LATER],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
