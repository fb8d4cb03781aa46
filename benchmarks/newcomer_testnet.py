"""A newcomer with another model in a local network of wordllamas, all of them real processes.

Two validators and five wordllamas make the network. The newcomer is not in its genesis: it is set up with
`deltamesh init --genesis`, aligned by `deltamesh encoder align --pairs 1000`, started with the others,
registers by gossip and is taken up by an epoch's record. The scores are those of the certified rounds it took
part in, from a validator's store.

    python -m benchmarks.newcomer_testnet --rounds 10 --seeds 3 --json newcomer.json
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from config.datadir import DataDir
from config.genesis import save_genesis
from node.clock import now_ms
from node.encoders.alignment_store import FOLDER_NAME
from node.keys import load_key
from node.store import Access, Store
from node.testnet.fleet import Fleet, command_line
from node.testnet.plan import NETWORK, START_LEAD_MS, NodePlan, TestnetPlan, Wanted, plan_testnet
from protocol.genesis import Genesis
from protocol.schedule import slot_start_ms

VALIDATORS = 2
MODELS = ("wordllama-256", "wordllama-256", "wordllama-128", "wordllama-128", "wordllama-64")
PAIRS = 1_000
EPOCH_ROUNDS = 6
"""The fewest there may be: a newcomer is a member from the first or second epoch after it has registered."""
SETTLED_S = 6.0
"""A round's certificate is written by then."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How much time a round has, and how much is to be embedded in it."""

    slot_ms: int
    """A transformer on a core it shares with the whole network needs longer than the preset gives."""
    masks: int
    """Of each item; the first decides on the score, all on the work."""


@dataclass(frozen=True, slots=True)
class Network:
    """A planned network, its genesis not yet written, and who joins it."""

    plan: TestnetPlan
    genesis: Genesis
    newcomer: NodePlan


def run(seed: int, model: str, rounds: int, pace: Pace, maps: Path) -> dict[str, Any]:
    """One network: mean score and rank of everybody over the rounds in which the newcomer was scored."""
    with TemporaryDirectory(prefix="dm") as root:
        network, aligned = _planned(Path(root), seed, model, pace, maps)
        with Fleet([*network.plan.nodes, network.newcomer], command_line) as fleet:
            fleet.start_all()
            time.sleep(max(0.0, (slot_start_ms(network.genesis, rounds) - now_ms()) / 1000 + SETTLED_S))
            assert not fleet.fallen(), fleet.fallen()
        return {"seed": seed, "aligned": aligned, **_judged(network, rounds)}


def _planned(root: Path, seed: int, model: str, pace: Pace, maps: Path) -> tuple[Network, dict[str, Any]]:
    wanted = Wanted(VALIDATORS, len(MODELS), 0, (), None, seed, MODELS)
    plan = plan_testnet(root / "net", wanted)
    quick = msgspec.structs.replace(
        plan.genesis.parameters,
        epoch_rounds=EPOCH_ROUNDS,
        slot_ms=pace.slot_ms,
        wave_deadline_ms=pace.slot_ms // 2,
        reveal_deadline_ms=pace.slot_ms // 2,
        masks_per_item=pace.masks,
    )
    content = msgspec.structs.replace(plan.genesis.content, parameters=quick)
    home, written = root / "newcomer", root / "genesis.json"
    save_genesis(written, Genesis(content))
    _deltamesh("init", "--role", "encoder", "--genesis", str(written), home=home)
    aligned = _aligned(home, model, maps)
    # Aligning takes a minute, and its network has not begun.
    genesis = Genesis(msgspec.structs.replace(content, genesis_time_ms=now_ms() + START_LEAD_MS))
    for directory in (*(one.directory for one in plan.nodes), home / NETWORK):
        (directory / "genesis.json").unlink()
        save_genesis(directory / "genesis.json", genesis)
    key = load_key(DataDir.open(home, NETWORK).key).public_key
    return Network(plan, genesis, NodePlan("newcomer", "encoder", home, key, None, model)), aligned


def _aligned(home: Path, model: str, maps: Path) -> dict[str, Any]:
    """What `encoder align` says. The reference's vectors are the same in every network: so is the map."""
    kept, told = home / NETWORK / FOLDER_NAME, maps / "aligned.json"
    if not told.exists():
        found = _deltamesh("encoder", "align", model, "--pairs", str(PAIRS), "--json", home=home)
        shutil.copytree(kept, maps / FOLDER_NAME)
        told.write_text(found)
    elif not kept.exists():
        shutil.copytree(maps / FOLDER_NAME, kept)
    document: dict[str, Any] = json.loads(told.read_text())
    return document


def _deltamesh(*words: str, home: Path) -> str:
    command = [sys.executable, "-m", "node.cli", *words, "--home", str(home), "--network", NETWORK]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout


def _judged(network: Network, rounds: int) -> dict[str, Any]:
    plan, me = network.plan, network.newcomer.public_key
    by_round: dict[int, dict[bytes, float]] = {}
    directory = plan.validators[0].directory
    with Store.open(directory / "store.sqlite", directory / "blobs", access=Access.READ_ONLY) as store:
        for record in store.scores():
            if record.round < rounds:
                by_round.setdefault(record.round, {})[record.encoder] = record.score
    judged = {number: scores for number, scores in sorted(by_round.items()) if me in scores}
    named = [(one.public_key, str(one.model)) for one in (*plan.encoders, network.newcomer)]
    means = [(name, mean(one.get(key, 0.0) for one in judged.values())) for key, name in named if judged]
    own = means[-1][1] if means else 0.0
    return {
        "certified": len(by_round),
        "judged": list(judged),
        "scores": means,
        "newcomer": [scores[me] for scores in judged.values()],
        "rank": 1 + sum(score > own for _, score in means[:-1]) if judged else None,
        "of": len(named),
    }


def report(runs: Sequence[dict[str, Any]]) -> str:
    """A table of seeds, for docs/measurements.md."""
    lines = [
        "| seed | certified | judged in | newcomer | others, best to worst | rank |",
        "|---|---|---|---|---|---|",
    ]
    for one in runs:
        others = ", ".join(
            f"{score:.3f}" for score in sorted((s for _, s in one["scores"][:-1]), reverse=True)
        )
        own = f"{one['scores'][-1][1]:.3f}" if one["scores"] else "never scored"
        lines.append(
            f"| {one['seed']} | {one['certified']} | {len(one['judged'])} | {own} | {others} "
            f"| {one['rank']} of {one['of']} |"
        )
    ranks = [one["rank"] for one in runs if one["rank"] is not None]
    return "\n".join([*lines, f"median rank {median(ranks) if ranks else 'none'}"])


def main() -> None:
    """Run and print; `--json FILE` keeps everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--slot-ms", type=int, default=28_000)
    parser.add_argument("--masks", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    runs: list[dict[str, Any]] = []
    with TemporaryDirectory(prefix="dm") as maps:
        for seed in range(given.first_seed, given.first_seed + given.seeds):
            runs.append(run(seed, given.model, given.rounds, Pace(given.slot_ms, given.masks), Path(maps)))
            print(f"seed {seed}: rank {runs[-1]['rank']}, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
            if given.json is not None:
                given.json.write_text(json.dumps(runs))
    print(report(runs))


if __name__ == "__main__":
    main()
