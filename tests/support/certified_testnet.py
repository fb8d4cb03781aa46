"""A local network of one encoder of each model, as `testnet up` runs it, and whether each was heard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.testnet_process import assert_nothing_runs, end, start

FAULTS = ("model.failed", "wave.unanswered", "wave.skipped", "wave.refused", "Traceback")
"""What no log of an encoder may hold."""


def certified(folder: Path, models: list[str], rounds: int, *options: str) -> Any:
    """The summary of a network with one encoder of each model, in which nothing went wrong."""
    asked = [argument for model in models for argument in ("--model", model)]
    ended = end(
        start(
            folder,
            *("--validators", "3", "--encoders", str(len(models)), "--cheaters", "0"),
            *("--rounds", str(rounds), "--json", str(folder / "summary.json"), *asked, *options),
        )
    )
    logs = {
        path: path.read_text(errors="replace")
        for encoder in (folder / "net").glob("encoder-*")
        for path in encoder.rglob("*.log*")
    }
    faults = [
        f"{path}: {line}"
        for path, text in logs.items()
        for line in text.splitlines()
        if any(fault in line for fault in FAULTS)
    ]
    assert faults == []
    assert len({path.parents[2] for path in logs}) == len(models)
    assert sum("wave.encoded" in text for text in logs.values()) >= len(models)
    assert (folder / "summary.json").exists(), ended.out + ended.err
    assert_nothing_runs(folder)
    return json.loads((folder / "summary.json").read_text())


def assert_each_has_weight(summary: Any, models: list[str]) -> None:
    """Fail unless every encoder has a part in the consensus of a certified round."""
    # All of them on a machine of its own (`test_testnet_up`); a busy one may make attesters late for one.
    assert summary["rounds_certified"] >= 1, summary["rounds"]
    most: dict[str, float] = dict.fromkeys(models, 0.0)
    for round_ in summary["rounds"]:
        for encoder in round_["encoders"]:
            most[encoder["runs"]] = max(most[encoder["runs"]], encoder["weight"] or 0.0)
    assert all(weight > 0 for weight in most.values()), most
