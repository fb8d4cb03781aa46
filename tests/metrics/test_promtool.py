"""Prometheus' own tool accepts the configuration and the rules, and each alert fires when it should."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.support.documents import ROOT

pytestmark = pytest.mark.slow
PROMETHEUS = ROOT / "config" / "observe" / "prometheus"


def promtool(*arguments: str) -> None:
    """Run promtool. Fails with a sentence where it is not installed, or with what it says."""
    program = shutil.which("promtool")
    if program is None:
        pytest.fail("promtool is not installed: `apt-get install prometheus` (Debian) brings it")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr


def test_configuration__is_accepted() -> None:
    promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))


@pytest.mark.parametrize("name", ["rules.yml", "alerts.yml"])
def test_rules__are_accepted_with_nothing_to_lint(name: str) -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", str(PROMETHEUS / name))


def test_alerts__fire_on_what_calls_for_them_and_on_nothing_else() -> None:
    promtool("test", "rules", str(ROOT / "tests" / "metrics" / "alerts.yml"))
