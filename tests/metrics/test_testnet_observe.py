"""Prometheus beside a local network: a real one, on its real configuration."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from config.errors import ConfigError
from node.testnet import plan as plans
from node.testnet.fleet import command_line
from node.testnet.observe import RULES, find_prometheus, prometheus_running, write_configuration
from tests.support.observed_plan import observed_plan


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> plans.TestnetPlan:
    return observed_plan(tmp_path_factory.mktemp("observed"))


def test_configuration__names_every_node_where_it_serves_metrics(
    plan: plans.TestnetPlan, tmp_path: Path
) -> None:
    path = write_configuration(plan, tmp_path)
    groups = json.loads(path.read_text())["scrape_configs"][0]["static_configs"]
    targets = {group["labels"]["node"]: group["targets"] for group in groups}
    assert set(targets) == {node.name for node in plan.nodes}
    assert all((tmp_path / name).stat().st_size > 100 for name in RULES)
    for node in plan.nodes:
        assert f"{'--api' if node.role == 'validator' else '--metrics'} {targets[node.name][0]}" in " ".join(
            command_line(node)
        )
    addresses = [address for found in targets.values() for address in found]
    assert len(set(addresses)) == len(addresses)


def test_prometheus_missing__is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="apt install prometheus"):
        find_prometheus()


@pytest.mark.slow
def test_prometheus__loads_the_rules_looks_for_every_node_and_ends(plan: plans.TestnetPlan) -> None:
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed")
    assert (
        subprocess.run(
            ["promtool", "check", "config", write_configuration(plan, plan.root / "prometheus")], check=False
        ).returncode
        == 0
    )
    with prometheus_running(plan) as url:
        groups = _asked(f"{url}/api/v1/rules", "groups")
        targets = _asked(f"{url}/api/v1/targets", "activeTargets")
    assert {Path(group["file"]).name for group in groups} == set(RULES)
    assert {target["discoveredLabels"]["node"] for target in targets} == {node.name for node in plan.nodes}
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url, timeout=2)


def _asked(url: str, key: str) -> list[Any]:
    """What Prometheus lists, once it is up and lists anything."""
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s:
        with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            if listed := json.load(answer)["data"][key]:
                return list(listed)
        time.sleep(0.1)
    raise AssertionError(f"{url} lists nothing")
