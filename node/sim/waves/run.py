"""One simulated network with forgers from its first round to its last, and what came of them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.bench.waves import Order
from node.sim.network import Network, Weather
from node.sim.node import SimNode
from node.sim.scheduler import Scheduler
from node.sim.trace import Trace
from node.sim.waves.dealer import Probes, TellingValidator, WavesValidator
from node.sim.waves.embeddings import Embeddings
from node.sim.waves.forging import EmbeddingEncoder, ForgingEncoder
from node.sim.waves.scoring import RuleObserver, RuleShared
from node.sim.waves.world import waves_world
from node.sim.world import GENESIS_TIME_MS, World
from protocol.bending import Bending, is_exposed, stepped
from protocol.epochs.known import Epochs
from protocol.epochs.outcome import RoundOutcome
from protocol.epochs.view import PPM
from protocol.schedule import slot_start_ms

START_BEFORE_MS: Final = 1_000
SLOTS_AFTER: Final = 1
"""After the last round, for its certificate."""
NEVER: Final = 1 << 30
"""The round of an exposure that did not come."""


@dataclass(frozen=True)
class Case:
    """What forgers do, what they are shown, and whether probes count."""

    attack: str
    order: Order
    probes: Probes

    @property
    def conditions(self) -> str:
        """`waves, probes`."""
        return f"{self.order.value}, {self.probes.value}"


@dataclass(frozen=True)
class Run:
    """One case under one seed. R rounds, A forgers; a round that was not certified is NaN."""

    weight: NDArray[np.float64]
    """[R]: of all forgers together."""
    honest_score: NDArray[np.float64]
    """[R]: mean over the honest."""
    exposed_after: NDArray[np.int64]
    """[A]: certified rounds until the sequential test exposed each first; NEVER."""
    honest_exposed: int
    out: NDArray[np.float64]
    """[R]: share of the forgers whom the epoch's record denies weight."""


def run_case(
    case: Case,
    embeddings: Embeddings,
    texts: Sequence[str],
    rounds: int,
    seed: int,
    on_round: Callable[[], None] = lambda: None,
) -> Run:
    """Run a network of all encoders. Raises Violation, BenchError, EncoderError."""
    count = len(embeddings.names)
    world = waves_world(count, texts, rounds, seed)
    draw = np.random.default_rng((seed, count))
    chosen = frozenset(draw.choice(count, size=count // 3, replace=False).tolist())
    observer = RuleObserver(world, frozenset())
    scheduler = Scheduler(GENESIS_TIME_MS - START_BEFORE_MS)
    network = Network(seed, scheduler, world.genesis, Weather())
    trace = Trace(GENESIS_TIME_MS, keep=False)
    parts = (world, scheduler, network, trace, observer, RuleShared())
    validator = TellingValidator if case.order is Order.AT_ONCE else WavesValidator
    nodes: list[SimNode] = [validator(member, *parts, probes=case.probes) for member in world.validators]
    for index, (member, model) in enumerate(zip(world.encoders, embeddings.names, strict=True)):
        if index in chosen and case.attack != "honest":
            nodes.append(
                ForgingEncoder(
                    member, *parts, attack=case.attack, order=case.order, model=model, embeddings=embeddings
                )
            )
        else:
            nodes.append(EmbeddingEncoder(member, *parts, model=model, embeddings=embeddings))
    network.peers = {node.key: node for node in nodes}
    for node in nodes:
        node.start()
    for round_ in range(rounds):
        scheduler.run_until(slot_start_ms(world.genesis, round_ + 1))
        on_round()
    scheduler.run_until(slot_start_ms(world.genesis, rounds + SLOTS_AFTER))
    forgers = frozenset(world.encoders[index].key for index in chosen)
    found = _run(world, observer, forgers, rounds)
    del nodes, network, scheduler, parts, observer
    gc.collect()  # nodes and links hold each other, and with them 10 MiB of answers a round
    return found


def _run(world: World, observer: RuleObserver, forgers: frozenset[bytes], rounds: int) -> Run:
    outcomes = {at.round: one for at, one in observer.outcomes.items() if at.round < rounds}
    weight, honest = np.full(rounds, np.nan), np.full(rounds, np.nan)
    for round_, one in outcomes.items():
        rows = [key in forgers for key in one.encoders]
        weight[round_] = sum(np.array(one.weight_ppm)[rows]) / PPM
        honest[round_] = np.mean(np.array(one.score_ppm)[np.logical_not(rows)]) / PPM
    after = _exposures(outcomes)
    return Run(
        weight,
        honest,
        np.array([after.get(key, NEVER) for key in sorted(forgers)]),
        sum(key not in forgers for key in after),
        np.array([_out(observer.epochs, world, forgers, round_) for round_ in range(rounds)]),
    )


def _exposures(outcomes: Mapping[int, RoundOutcome]) -> dict[bytes, int]:
    """After how many certified rounds the test exposes an encoder first, as records step it."""
    sums: dict[bytes, Bending] = {}
    after: dict[bytes, int] = {}
    for count, round_ in enumerate(sorted(outcomes), 1):
        one = outcomes[round_]
        for key, signs in zip(one.encoders, one.probes, strict=True):
            sums[key] = stepped(sums.get(key, Bending()), signs)
            if is_exposed(sums[key]):
                after.setdefault(key, count)
    return after


def _out(epochs: Epochs, world: World, forgers: frozenset[bytes], round_: int) -> float:
    epoch = epochs.find(round_ // world.genesis.parameters.epoch_rounds)
    if epoch is None:
        return float("nan")
    return float(np.mean([key not in epoch.encoders or epoch.is_on_probation(key) for key in forgers]))
