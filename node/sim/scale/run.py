"""One large network, round by round, and what a node of each part had to do in it."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

from node.sim.scale.meter import Meter, Part, Tally
from node.sim.scale.network import ScaleNetwork
from node.sim.scale.nodes import MeteredNode, ScaleEncoder, ScaleValidator
from node.sim.scale.observer import ScaleObserver
from node.sim.scheduler import Scheduler
from node.sim.shared import Unshared
from node.sim.trace import Trace
from node.sim.world import GENESIS_TIME_MS, Size, World, world_of
from protocol.epochs.transition import next_epoch, no_inputs
from protocol.hashing import digest
from protocol.hearing import Hearing
from protocol.schedule import dealer_of, first_place, shard_of, shard_round, slot_start_ms
from protocol.signatures import public_key, sign, verify

START_BEFORE_MS = 1_000
OPEN_BEFORE_MS = 500
"""Encoders of a round are opened this long before its slot, when the round before is over."""
WATCHERS = 32
"""Encoders that are always open: what they do in rounds they are not drawn for stands for all others."""
NOISE = 0.5
WAITING_MAX = 4_000_000
"""Events waiting at once: only a bound, far above what an honest round causes."""
CALIBRATIONS = 200


@dataclass(frozen=True)
class ScaleSize:
    """A network to be measured."""

    validators: int
    encoders: int
    rounds: int
    shards: int = 4
    shard_size: int = 16
    scored_items: int = 4
    degree: int = 8

    @property
    def world(self) -> Size:
        """As the simulator's worlds are called."""
        return Size(
            self.validators,
            self.encoders,
            self.rounds,
            scored_items=self.scored_items,
            shard_size=self.shard_size,
            shards=self.shards,
        )


@dataclass(frozen=True)
class ScalePoint:
    """What was measured at one size."""

    size: ScaleSize
    means: dict[Part, Tally]
    """A node's mean round."""
    nodes: dict[Part, int]
    """How many (node, round) each mean is of."""
    certified: int
    """Shard-rounds that every validator knows to be certified."""
    events: int
    drawn: float
    """Different encoders that a round's shards hold, in the mean."""
    opened: int
    """Encoders that were opened at least once."""
    draw_ns: float
    """CPU of one node for drawing a round's dealers and shards."""
    epoch_ns: float
    """CPU of one node for the next epoch's record and what it draws from: once an epoch, not in the means."""
    elapsed_s: float
    cpu_s: float


class ScaleNetworkRun:
    """One run; `measure` does it."""

    def __init__(self, size: ScaleSize, seed: int = 0) -> None:
        self.size = size
        self.world: World = world_of(size.world)
        self.genesis = self.world.genesis
        self.scheduler = Scheduler(GENESIS_TIME_MS - START_BEFORE_MS, waiting_max=WAITING_MAX)
        self.network = ScaleNetwork(seed, self.scheduler, self.genesis, size.degree)
        self.observer = ScaleObserver(self.world)
        self.meter = Meter()
        self._members = {member.key: member for member in self.world.encoders}
        self._encoders: dict[bytes, ScaleEncoder] = {}
        self.drawn = 0
        """Different encoders of every round so far, summed."""
        self._watchers = tuple(member.key for member in self.world.encoders[:WATCHERS])
        self._parts = (self.world, self.scheduler, self.network, Trace(GENESIS_TIME_MS, keep=False))

    def rounds(self) -> Iterator[int]:
        """Run one round after another."""
        validators = [
            ScaleValidator(member, *self._parts, self.observer, Unshared())
            for member in self.world.validators
        ]
        self.network.live.update({node.key: node for node in validators})
        self.network.peers = {key: node for key, node in self.network.live.items()}
        for node in validators:
            node.start()
        for round_ in range(self.size.rounds):
            start_ms = slot_start_ms(self.genesis, round_)
            self.scheduler.run_until(start_ms - OPEN_BEFORE_MS)
            self._open(round_)
            with _garbage_kept():
                self.scheduler.run_until(start_ms + self.genesis.parameters.slot_ms - 2 * OPEN_BEFORE_MS)
            self._take(round_)
            self.network.forget()
            yield round_

    def _shards(self, round_: int) -> list[tuple[bytes, ...]]:
        places = [shard_round(self.genesis, round_, shard) for shard in range(self.size.shards)]
        return [shard_of(self.observer.epochs.of(at.epoch), at) for at in places]

    def _open(self, round_: int) -> None:
        """Open the encoders of this round, close those of the last."""
        wanted = {key for shard in self._shards(round_) for key in shard} | set(self._watchers)
        for key in [key for key in self.network.live if key in self._members and key not in wanted]:
            self.network.live.pop(key).die("not drawn")
        for key in sorted(wanted - self.network.live.keys()):
            node = self._encoders.get(key)
            if node is None:
                node = ScaleEncoder(self._members[key], *self._parts, self.observer, Unshared(), noise=NOISE)
                self._encoders[key] = node
            self.network.live[key] = node
            node.start()

    def _take(self, round_: int) -> None:
        seats: dict[bytes, int] = {}
        for shard in self._shards(round_):
            for key in shard:
                seats[key] = seats.get(key, 0) + 1
        places = [shard_round(self.genesis, round_, shard) for shard in range(self.size.shards)]
        dealers = {dealer_of(self.observer.epochs.of(at.epoch), at) for at in places}
        self.drawn += len(seats)
        for key, node in self.network.live.items():
            # What a node remembers having heard is bounded; here all nodes would fill one machine's memory.
            node.hearing = Hearing(node.epochs)
            tally = node.take_tally()
            part = _part(key, node, dealers, seats)
            if part is not None:
                self.meter.take(part, [tally])

    @property
    def opened(self) -> int:
        """Encoders opened at least once."""
        return len(self._encoders)

    def draw_ns(self) -> float:
        """CPU of drawing one round's dealers and shards, without what other nodes have drawn."""
        rounds = min(self.size.rounds, 8)
        began_ns = time.thread_time_ns()
        for round_ in range(rounds):
            for shard in range(self.size.shards):
                at = shard_round(self.genesis, round_, shard)
                epoch = self.observer.epochs.of(at.epoch)
                dealer_of.__wrapped__(epoch, at)
                shard_of.__wrapped__(epoch, at)
        return (time.thread_time_ns() - began_ns) / rounds

    def epoch_ns(self) -> float:
        """CPU of making the record of epoch 1 from no inputs, and of a draw from it."""
        epochs = self.observer.epochs
        began_ns = time.thread_time_ns()
        following = next_epoch(epochs.of(0), epochs, no_inputs(1), ())
        shard_of.__wrapped__(following, first_place(following))
        return time.thread_time_ns() - began_ns


@contextmanager
def _garbage_kept() -> Iterator[None]:
    """No collection within a round: one node would pay for what all have left."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect()


def _part(key: bytes, node: MeteredNode, dealers: set[bytes], seats: dict[bytes, int]) -> Part | None:
    if isinstance(node, ScaleValidator):
        return Part.DEALER if key in dealers else Part.VALIDATOR
    match seats.get(key, 0):
        case 0:
            return Part.UNSAMPLED
        case 1:
            return Part.SAMPLED
    return None


def measure(size: ScaleSize, on_work: Callable[[int], None] = lambda _: None) -> ScalePoint:
    """Run a network of this size; `on_work` is told how many validators have done one more round.

    Raises Violation when it is not what an honest network must be.
    """
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    run = ScaleNetworkRun(size)
    for _ in run.rounds():
        on_work(size.validators)
    everyone = sum(len(known) == size.validators for known in run.observer.certified_by.values())
    return ScalePoint(
        size=size,
        means=run.meter.means(),
        nodes=dict(run.meter.nodes),
        certified=everyone,
        events=run.scheduler.events,
        drawn=run.drawn / size.rounds,
        opened=run.opened,
        draw_ns=run.draw_ns(),
        epoch_ns=run.epoch_ns(),
        elapsed_s=time.monotonic() - began_s,
        cpu_s=time.process_time() - began_cpu_s,
    )


@lru_cache(maxsize=1)
def signature_ns() -> tuple[float, float]:
    """CPU of making and of verifying one signature on this machine."""
    seed = digest("sim-calibration")
    key, names = public_key(seed), [digest("sim-calibration", bytes([n])) for n in range(CALIBRATIONS)]
    began_ns = time.thread_time_ns()
    signatures = [sign(seed, name) for name in names]
    signed_ns = time.thread_time_ns()
    for name, signature in zip(names, signatures, strict=True):
        verify(key, name, signature)
    return (signed_ns - began_ns) / len(names), (time.thread_time_ns() - signed_ns) / len(names)
