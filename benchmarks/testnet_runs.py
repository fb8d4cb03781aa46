"""Whole local networks, one after the other: who is scored how, and what each kind of cheater holds.

    python -m benchmarks.testnet_runs --rounds 3 --seeds 5 --json runs.json

One run a seed and kind of cheater, two cheaters of that kind among eight encoders, with the real command and
real processes. Prints the mean score of every honest model and the weight that the pair of cheaters held.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CHEATERS = ("zero", "constant", "copycat", "forged-inverse", "replay", "random", "late")


def one_run(cheat: str, seed: int, rounds: int) -> dict[str, Any]:
    """The summary of one `deltamesh testnet up`, with its exit code."""
    with tempfile.TemporaryDirectory() as scratch:
        summary = Path(scratch) / "summary.json"
        command = [sys.executable, "-m", "node.cli", "testnet", "up", "--validators", "4", "--encoders", "8"]
        command += ["--cheaters", "2", "--cheat", cheat, "--rounds", str(rounds), "--seed", str(seed)]
        command += ["--json", str(summary), "--dir", str(Path(scratch) / "net")]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if not summary.exists():
            raise SystemExit(f"{' '.join(command)} wrote no summary:\n{done.stdout}")
        document: dict[str, Any] = json.loads(summary.read_text())
        shutil.rmtree(Path(scratch) / "net", ignore_errors=True)
        return {**document, "exit_code": done.returncode, "cheat": cheat, "seed": seed}


def scores_by_model(runs: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Scores of honest encoders in every certified round, by the model they run."""
    scores: dict[str, list[float]] = {}
    for run in runs:
        for round_ in run["rounds"]:
            for encoder in round_["encoders"]:
                if encoder["cheats"] is None and encoder["score"] is not None:
                    scores.setdefault(encoder["runs"], []).append(encoder["score"])
    return scores


def pair_weights(run: dict[str, Any]) -> list[float]:
    """In every certified round, the weight that both cheaters hold together."""
    return [
        sum(e["weight"] for e in round_["encoders"] if e["cheats"] is not None)
        for round_ in run["rounds"]
        if round_["state"] == "certified"
    ]


def main() -> None:
    """Run, print two tables, and write everything as JSON if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--seeds", type=int, default=5, help="runs with fresh seeds for every kind of cheater"
    )
    parser.add_argument("--cheat", action="append", choices=CHEATERS, help="only these kinds")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    runs: list[dict[str, Any]] = []
    for index, cheat in enumerate(options.cheat or CHEATERS):
        for seed in range(options.seeds):
            run = one_run(cheat, options.seeds * index + seed, options.rounds)
            runs.append(run)
            weights = pair_weights(run)
            answered = [e for r in run["rounds"] for e in r["encoders"] if e["cheats"] is not None]
            present = sum(bool(e["waves_answered"]) or e["late"] for e in answered)
            print(
                f"{cheat:15} seed {run['seed']:3}: exit {run['exit_code']}, {run['rounds_certified']} of "
                f"{run['rounds_dealt']} certified, first certificate {run['first_certificate_ms']} ms, all "
                f"{run['elapsed_ms']} ms; pair's weight mean {statistics.mean(weights):.4f} max "
                f"{max(weights):.4f}; answered or late {present} of {len(answered)}",
                flush=True,
            )
    print(f"\nload {os.getloadavg()}")
    for model, scores in sorted(scores_by_model(runs).items(), key=lambda item: -statistics.mean(item[1])):
        print(
            f"{model:15} mean score {statistics.mean(scores):.4f}  "
            f"sd {statistics.pstdev(scores):.4f}  n {len(scores)}"
        )
    certified = [r["latency_ms"] for run in runs for r in run["rounds"] if r["state"] == "certified"]
    for step in ("wave_1", "wave_2", "wave_3", "reveals", "scoring", "certified"):
        values = [latency[step] for latency in certified if latency.get(step) is not None]
        if values:
            print(f"{step:10} median {statistics.median(values):.0f} ms")
    if options.json is not None:
        options.json.write_text(json.dumps(runs, indent=1))


if __name__ == "__main__":
    main()
