"""`testnet up --observe`: Prometheus beside a local network, with the rules and alerts that ship."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path

from config.errors import ConfigError
from node.testnet.fleet import end_with_parent
from node.testnet.plan import TestnetPlan, free_ports

SCRAPE_INTERVAL_S = 5
RULES = ("rules.yml", "alerts.yml")
STOP_WITHIN_S = 5.0


def find_prometheus() -> str:
    """Path of the program. Raises ConfigError when it is not installed."""
    program = shutil.which("prometheus")
    if program is None:
        raise ConfigError(
            "prometheus is not on the PATH, and --observe runs it: install it (on Debian and Ubuntu: "
            "apt install prometheus), or leave --observe out and read /metrics of the nodes"
        )
    return program


def write_configuration(plan: TestnetPlan, folder: Path) -> Path:
    """Write prometheus.yml, with every node of `plan` as a target, and the rules beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    shipped = files("config") / "observe" / "prometheus"
    for name in RULES:
        (folder / name).write_text((shipped / name).read_text())
    configuration = {
        "global": {
            "scrape_interval": f"{SCRAPE_INTERVAL_S}s",
            "scrape_timeout": f"{SCRAPE_INTERVAL_S}s",
            "evaluation_interval": f"{SCRAPE_INTERVAL_S}s",
        },
        "rule_files": list(RULES),
        "scrape_configs": [
            {
                "job_name": "deltamesh",
                "static_configs": [
                    {"targets": [address], "labels": {"node": node.name}}
                    for node in plan.nodes
                    if (address := node.api or node.metrics) is not None
                ],
            }
        ],
    }
    path = folder / "prometheus.yml"
    # JSON is YAML: no writer of YAML is needed for it.
    path.write_text(json.dumps(configuration, indent=2) + "\n")
    return path


@contextmanager
def prometheus_running(plan: TestnetPlan) -> Iterator[str]:
    """Run Prometheus until the block is left; gives its URL. Raises ConfigError when it is not installed."""
    program = find_prometheus()
    folder = plan.root / "prometheus"
    configuration = write_configuration(plan, folder)
    address = f"127.0.0.1:{free_ports(1)[0]}"
    command = [program, f"--config.file={configuration}", f"--storage.tsdb.path={folder / 'data'}"]
    command += [f"--web.listen-address={address}"]
    with (folder / "output.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=end_with_parent,
            env={key: value for key, value in os.environ.items() if not key.startswith("DELTAMESH_")},
        )
    try:
        yield f"http://{address}"
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
