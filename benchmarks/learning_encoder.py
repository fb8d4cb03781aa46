"""An encoder learns: one that distils the consensus between rounds against its own frozen twin, one network.

The machines, audits, scoring rule and epoch records of the node over simulated links (`node/sim/waves`), with
real encoders. Both twins start from the same weights. The learner is given what every encoder can fetch: the
items and consensus vectors of the rounds certified so far, after each round.

    python -m benchmarks.learning_encoder --rounds 22 --seeds 5
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from node.bench.texts import split_by_name, split_texts
from node.encoders import load_encoder
from node.encoders.alignment import Alignment, fit
from node.encoders.anchors import anchor_texts
from node.encoders.encoder import answer_rows
from node.sim.encoder import SimEncoder
from node.sim.network import Network, Weather
from node.sim.node import SimNode
from node.sim.process import SimProcess
from node.sim.scheduler import Scheduler
from node.sim.trace import Trace
from node.sim.waves.dealer import Probes, WavesValidator
from node.sim.waves.scoring import RuleObserver, RuleShared
from node.sim.waves.world import waves_world
from node.sim.world import GENESIS_TIME_MS, World
from node.training.learner import Learner
from node.training.mixture import Mixture
from node.training.models import EmbeddingModel, Lift, TextBag, build_model
from node.training.train import Options, train
from node.training.training_set import TrainingSet
from protocol.epochs.view import PPM
from protocol.report import DIMENSIONS
from protocol.rounds import effects as fx
from protocol.schedule import slot_start_ms

STATIC = ("wordllama-256", "wordllama-128", "wordllama-64", "ngram")
BUCKETS, WIDTH = 1 << 15, 256
START_TEXTS, START_EPOCHS = 600, 3
RESAMPLES = 10_000
WAVES_KEPT = 16


class Answers:
    """Rows of encoders that do not change, to the waves of the last rounds."""

    def __init__(self, cache: Path) -> None:
        self._encoders = {name: load_encoder(name, cache_dir=cache) for name in STATIC}
        self._known: OrderedDict[tuple[str, tuple[str, ...]], NDArray[np.float32]] = OrderedDict()

    def rows(self, name: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """[n, 1024]."""
        key = (name, tuple(texts))
        if key not in self._known:
            self._known[key] = self._encoders[name].encode(texts)
            while len(self._known) > WAVES_KEPT:
                self._known.popitem(last=False)
        return self._known[key]


class StaticEncoder(SimEncoder):
    """A built-in encoder."""

    def __init__(self, *args: Any, model: str, rows: Answers) -> None:
        super().__init__(*args)
        self._model, self._rows = model, rows

    def answers(self, texts: tuple[str, ...]) -> bytes:
        """Its own vectors."""
        return self._rows.rows(self._model, _texts(texts)).astype("<f4").tobytes()


class TrainedEncoder(SimEncoder):
    """One of the twins: answers with the weights its learner holds."""

    def __init__(self, *args: Any, learner: Learner) -> None:
        super().__init__(*args)
        self.learner = learner

    def answers(self, texts: tuple[str, ...]) -> bytes:
        """What the weights of the moment make of the views."""
        return answer_rows(self.learner.model.embed(_texts(texts))).astype("<f4").tobytes()


class PairsObserver(RuleObserver):
    """Keeps what encoders can fetch: items and consensus of every certified round."""

    def __init__(self, world: World) -> None:
        super().__init__(world, frozenset())
        self.pairs: dict[int, tuple[list[str], NDArray[np.float32]]] = {}

    def persisted(self, node: SimProcess, fact: fx.Fact) -> None:
        """Keep a round once."""
        super().persisted(node, fact)
        if isinstance(fact, fx.RoundCertified) and fact.items and fact.at.round not in self.pairs:
            rows = np.frombuffer(fact.body.scores.consensus, "<f4").reshape(-1, DIMENSIONS).copy()
            items = [item.decode() for item in fact.items]
            known = np.isfinite(rows).all(axis=1)
            rows = rows[known] - rows[known].mean(axis=0)
            self.pairs[fact.at.round] = ([one for one, is_ in zip(items, known, strict=True) if is_], rows)

    def newest_first(self) -> tuple[list[str], NDArray[np.float32]]:
        """All pairs so far."""
        rounds = sorted(self.pairs, reverse=True)
        return [one for at in rounds for one in self.pairs[at][0]], np.concatenate(
            [self.pairs[at][1] for at in rounds]
        )


def start_model(seed: int, rows: Answers) -> EmbeddingModel:
    """What both twins start from: trained on texts of its own by InfoNCE over masks, then aligned."""
    texts = split_texts(split_by_name("fit"))
    chosen = np.random.default_rng(seed).permutation(len(texts))[:START_TEXTS]
    model = build_model(TextBag(buckets=BUCKETS, width=WIDTH, dimensions=WIDTH), seed)
    options = Options(Mixture.parsed(["infonce=1"]), epochs=START_EPOCHS, seed=seed)
    with TemporaryDirectory() as folder:
        train(model, TrainingSet("text", tuple(texts[place] for place in chosen)), options, Path(folder))
    anchors = anchor_texts()
    reference = rows.rows(STATIC[0], anchors)
    model.lift = Lift.of(fit(model.embed(anchors), reference, Alignment.PROCRUSTES))
    return model


def run(seed: int, rounds: int, texts: Sequence[str], rows: Answers) -> dict[str, Any]:
    """One network: scores by round of every encoder, NaN where a round was not certified."""
    began_s = time.process_time()
    names = (*STATIC, "frozen", "learning")
    world = waves_world(len(names), texts, rounds, seed)
    observer = PairsObserver(world)
    scheduler = Scheduler(GENESIS_TIME_MS - 1_000)
    network = Network(seed, scheduler, world.genesis, Weather())
    parts = (world, scheduler, network, Trace(GENESIS_TIME_MS, keep=False), observer, RuleShared())
    start = start_model(seed, rows)
    frozen, learner = Learner(start, seed), Learner(start, seed)
    nodes: list[SimNode] = [WavesValidator(one, *parts, probes=Probes.COUNTED) for one in world.validators]
    for member, name in zip(world.encoders, names, strict=True):
        if name in STATIC:
            nodes.append(StaticEncoder(member, *parts, model=name, rows=rows))
        else:
            nodes.append(TrainedEncoder(member, *parts, learner=frozen if name == "frozen" else learner))
    network.peers = {node.key: node for node in nodes}
    for node in nodes:
        node.start()
    agreement: list[float] = []
    for round_ in range(rounds):
        scheduler.run_until(slot_start_ms(world.genesis, round_ + 1))
        if observer.pairs:
            learnt = learner.learn(*observer.newest_first())
            agreement.append(max(learnt.before, learnt.after))
    scheduler.run_until(slot_start_ms(world.genesis, rounds + 1))
    scores = np.full((rounds, len(names)), np.nan)
    place = {member.key: index for index, member in enumerate(world.encoders)}
    for at, outcome in observer.outcomes.items():
        if at.round < rounds:
            for key, score in zip(outcome.encoders, outcome.score_ppm, strict=True):
                scores[at.round, place[key]] = score / PPM
    del nodes, network, scheduler, parts, observer
    gc.collect()
    cpu_s = time.process_time() - began_s
    return {"seed": seed, "names": names, "scores": scores.tolist(), "agreement": agreement, "cpu_s": cpu_s}


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Learning less frozen in the second half of the rounds: bootstrap over seeds, then over their rounds."""
    differences = []
    for one in runs:
        scores = np.array(one["scores"])
        found = scores[len(scores) // 2 :, -1] - scores[len(scores) // 2 :, -2]
        differences.append(found[np.isfinite(found)])
    draw = np.random.default_rng(0)
    means = np.empty(RESAMPLES)
    for index in range(RESAMPLES):
        seeds = draw.integers(len(differences), size=len(differences))
        means[index] = np.mean([draw.choice(differences[s], len(differences[s])).mean() for s in seeds])
    low, high = np.percentile(means, [2.5, 97.5])
    return {
        "seeds": len(runs),
        "difference": float(np.mean([one.mean() for one in differences])),
        "interval_95": [float(low), float(high)],
        "by_seed": [float(one.mean()) for one in differences],
    }


def print_run(one: dict[str, Any]) -> None:
    """Mean scores of the first four rounds and of the last eight, and ranks."""
    scores = np.array(one["scores"])
    print(f"seed {one['seed']}: {one['cpu_s']:.0f} s CPU, {np.isfinite(scores[:, 0]).sum()} rounds certified")
    first, last = np.nanmean(scores[:4], axis=0), np.nanmean(scores[-8:], axis=0)
    ranks = [(-row).argsort().argsort() + 1 for row in (first, last)]
    for index, name in enumerate(one["names"]):
        print(
            f"  {name:15} {first[index]:.3f} (rank {ranks[0][index]}) -> {last[index]:.3f} "
            f"(rank {ranks[1][index]})"
        )
    sys.stdout.flush()


def main() -> None:
    """Run and print; `--json FILE` keeps everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=22)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--split", default="later")
    parser.add_argument("--cache", type=Path, required=True, help="keeps the alignments")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = Answers(given.cache)
    texts = split_texts(split_by_name(given.split))
    runs = []
    for seed in range(given.seeds):
        runs.append(run(seed, given.rounds, texts, rows))
        print_run(runs[-1])
        if given.json is not None:
            given.json.write_text(json.dumps({"runs": runs, "summary": summary(runs)}))
    print(json.dumps(summary(runs), indent=2))
    print(f"median CPU {median(one['cpu_s'] for one in runs):.0f} s a network")


def _texts(views: Sequence[Any]) -> list[str]:
    return [view if isinstance(view, str) else view.decode() for view in views]


if __name__ == "__main__":
    main()
