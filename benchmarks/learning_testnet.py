"""An encoder learns in a local network of real processes: one run with `--learn` against its frozen twin.

As `benchmarks/learning_encoder.py`, but over libp2p: three validators, four built-in encoders, and two that
start from one trained model. The scores are those of the certified rounds in a validator's store.

    python -m benchmarks.learning_testnet --rounds 22 --seeds 5 --cache FOLDER
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks.learning_encoder import STATIC, Answers, print_run, start_model, summary
from node.clock import now_ms
from node.store import Access, Store
from node.testnet.fleet import Fleet, command_line
from node.testnet.plan import NodePlan, TestnetPlan, Wanted, plan_testnet
from node.training.folder import save_model
from protocol.schedule import slot_start_ms

VALIDATORS = 3
SETTLED_S = 6.0
"""A round's certificate is written by then."""


def run(seed: int, rounds: int, rows: Answers) -> dict[str, Any]:
    """One network: scores by round of every encoder, NaN where a round was not certified."""
    with TemporaryDirectory(prefix="dm") as root:
        folder = Path(root) / "model"
        folder.mkdir()
        save_model(folder, start_model(seed, rows))
        trained = f"trained:{folder}"
        wanted = Wanted(
            validators=VALIDATORS,
            encoders=len(STATIC) + 2,
            cheaters=0,
            cheats=(),
            data=None,
            seed=seed,
            models=(*STATIC, trained, trained),
        )
        plan = plan_testnet(Path(root) / "net", wanted)
        twins = [one for one in plan.encoders if one.model == trained]
        learner = twins[-1]

        def command(one: NodePlan) -> list[str]:
            return [*command_line(one), "--learn"] if one is learner else command_line(one)

        with Fleet(plan.nodes, command) as fleet:
            fleet.start_all()
            end_ms = slot_start_ms(plan.genesis, rounds)
            time.sleep(max(0.0, (end_ms - now_ms()) / 1000 + SETTLED_S))
            assert not fleet.fallen(), fleet.fallen()
        order = [next(one for one in plan.encoders if one.model == name) for name in STATIC]
        members = [*order, twins[0], learner]
        log = (learner.directory / "logs" / "node.log").read_text()
        return {
            "seed": seed,
            "names": (*STATIC, "frozen", "learning"),
            "scores": _scores(plan, members, rounds).tolist(),
            "lessons": log.count('"model.learnt"'),
            "cpu_s": 0.0,
        }


def _scores(plan: TestnetPlan, members: list[NodePlan], rounds: int) -> np.ndarray[Any, Any]:
    scores = np.full((rounds, len(members)), np.nan)
    column = {one.public_key: index for index, one in enumerate(members)}
    directory = plan.validators[0].directory
    with Store.open(directory / "store.sqlite", directory / "blobs", access=Access.READ_ONLY) as store:
        for record in store.scores():
            if record.round < rounds:
                scores[record.round, column[record.encoder]] = record.score
    return scores


def main() -> None:
    """Run and print; `--json FILE` keeps everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=22)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--cache", type=Path, required=True, help="keeps the alignments")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = Answers(given.cache)
    runs = []
    for seed in range(given.seeds):
        runs.append(run(seed, given.rounds, rows))
        print_run(runs[-1])
        print(f"  {runs[-1]['lessons']} lessons")
        if given.json is not None:
            given.json.write_text(json.dumps({"runs": runs, "summary": summary(runs)}))
    print(json.dumps(summary(runs), indent=2))


if __name__ == "__main__":
    main()
