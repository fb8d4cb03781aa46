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
from scoring.compiled import first_look, fragments, medians, pairs, rows
for module in (first_look, fragments, medians, pairs, rows):
    for name, kernel in vars(module).items():
        if isinstance(kernel, Dispatcher) and not name.startswith("_") and not kernel.signatures:
            print(name)
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
