"""Prometheus' own tool accepts the configuration and the rules, and each alert fires when it should."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.support.documents import ROOT

pytestmark = pytest.mark.slow
PROMETHEUS = ROOT / "config" / "observe" / "prometheus"


def promtool(*arguments: str) -> str:
    """What promtool says. Fails with a sentence where it is not installed or does not accept."""
    program = shutil.which("promtool")
    if program is None:
        pytest.fail("promtool is not installed: `apt-get install prometheus` (Debian) brings it")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_configuration__is_accepted() -> None:
    assert "SUCCESS" in promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))


@pytest.mark.parametrize("name", ["rules.yml", "alerts.yml"])
def test_rules__are_accepted_with_nothing_to_lint(name: str) -> None:
    assert "SUCCESS" in promtool("check", "rules", "--lint=all", "--lint-fatal", str(PROMETHEUS / name))


def test_alerts__fire_on_what_calls_for_them_and_on_nothing_else() -> None:
    assert "SUCCESS" in promtool("test", "rules", str(ROOT / "tests" / "metrics" / "alerts.yml"))
