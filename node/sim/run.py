"""One simulation from a scenario to its outcome."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from node.sim.byzantine import ByzantineValidator, Plot
from node.sim.cheating import DRAWN, ZOO, CheatingEncoder
from node.sim.encoder import SimEncoder
from node.sim.faults import Faults
from node.sim.giving import gift_to
from node.sim.network import Network, Weather
from node.sim.node import SimNode
from node.sim.observer import Observer, Violation
from node.sim.scenario import Scenario
from node.sim.scheduler import Flooded, Scheduler
from node.sim.shared import Shared
from node.sim.streams import stream
from node.sim.trace import Trace
from node.sim.validator import SimValidator
from node.sim.world import GENESIS_TIME_MS, Size, registered, submitted_text, world_of
from protocol.schedule import dealer_of, proposer_of, shard_round, slot_start_ms

QUIET_ROUNDS_MAX = 16
LIVE_WITHIN_ROUNDS = 3
"""Of those that honest validators deal after the faults have stopped, one is certified."""
START_BEFORE_MS = 1_000
NOISE_STEP = 0.1


@dataclass(frozen=True)
class Outcome:
    """How a simulation ended."""

    scenario: Scenario
    violation: str
    """Empty when every invariant held."""
    trace_hash: str
    lines: tuple[str, ...]
    events: int
    messages: int
    message_bytes: int
    certified_rounds: int
    rounds: int
    """Both count every shard of a round."""
    submitted: int
    served: int
    """Items of users that validators took, and those of them in certified rounds."""

    def document(self) -> dict[str, object]:
        """As JSON."""
        return {
            "seed": self.scenario.seed,
            "violation": self.violation,
            "trace_hash": self.trace_hash,
            "events": self.events,
            "messages": self.messages,
            "message_bytes": self.message_bytes,
            "certified_rounds": self.certified_rounds,
            "rounds": self.rounds,
            "submitted": self.submitted,
            "served": self.served,
            "scenario": self.scenario.facts(),
        }


def simulate(scenario: Scenario, *, keep_trace: bool = False) -> Outcome:
    """Run a scenario until an invariant breaks or the network is seen to live after its faults."""
    return Simulation(scenario, keep_trace=keep_trace).run()


class Simulation:
    """A network in virtual time, its faults, and who watches."""

    def __init__(self, scenario: Scenario, *, keep_trace: bool = False) -> None:
        self.scenario = scenario
        rounds = scenario.rounds + QUIET_ROUNDS_MAX
        self.world = world_of(
            Size(
                scenario.validators,
                scenario.encoders,
                rounds,
                scenario.variant,
                shards=scenario.shards,
                newcomers=scenario.newcomers + scenario.sybils,
                joiners=scenario.joiners,
            )
        )
        byzantine = [member.key for member in self.world.validators[: len(scenario.lies)]]
        cheating = [member.key for member in self.world.encoders[: len(scenario.cheats)]]
        cheating += [member.key for member in self.world.newcomers[1 : scenario.newcomers : 2]]
        cheating += [member.key for member in self.world.newcomers[scenario.newcomers :]]
        self.trace = Trace(GENESIS_TIME_MS, keep=keep_trace)
        self.scheduler = Scheduler(GENESIS_TIME_MS - START_BEFORE_MS)
        weather = Weather(
            scenario.loss_percent, scenario.replay_percent, scenario.reorder_percent, scenario.delay_ms_max
        )
        self.network = Network(scenario.seed, self.scheduler, self.world.genesis, weather)
        self.observer = Observer(self.world, frozenset((*byzantine, *cheating)))
        self.nodes = _nodes(self, Plot(frozenset(byzantine)))
        self.network.peers = {node.key: node for node in self.nodes}
        self.rounds = 0

    def run(self) -> Outcome:
        """The outcome."""
        genesis = self.world.genesis
        for name, fact in self.scenario.facts().items():
            self.trace.note(GENESIS_TIME_MS, "-", f"{name}: {fact}")
        honest = [node for node in self.nodes if self.observer.is_honest(node.key)]
        healed_ms = slot_start_ms(genesis, self.scenario.rounds)
        Faults(self.scenario, self.scheduler, self.network, self.trace, honest, healed_ms).schedule()
        self._users_submit(honest, healed_ms)
        violation = ""
        try:
            for node in self.nodes:
                node.start()
            self.scheduler.run_until(healed_ms)
            self._quiet_rounds(honest)
        except (Violation, Flooded) as broken:
            violation = str(broken)
        except Exception as fault:
            # A machine or rule that raises is a fault of ours, which a peer may have found.
            violation = f"nothing raises: {fault!r}"
        if violation:
            self.trace.note(self.scheduler.now_ms, "-", f"VIOLATED {violation}")
        return Outcome(
            scenario=self.scenario,
            violation=violation,
            trace_hash=self.trace.hash,
            lines=tuple(self.trace.lines),
            events=self.scheduler.events,
            messages=self.network.sent,
            message_bytes=self.network.sent_bytes,
            certified_rounds=len(self.observer.certified_by),
            rounds=(self.rounds or self.scenario.rounds) * self.scenario.shards,
            submitted=len(self.observer.submissions),
            served=len(self.observer.served),
        )

    def _users_submit(self, honest: list[SimNode], end_ms: int) -> None:
        validators = [node for node in honest if isinstance(node, SimValidator)]
        for number in range(self.scenario.submissions):
            draw = stream(self.scenario.seed, f"submission {number}")
            node, at_ms = draw.choice(validators), draw.randint(GENESIS_TIME_MS, end_ms - 1)
            self.scheduler.at(at_ms, partial(_submit, node, submitted_text(number)))

    def _quiet_rounds(self, honest: list[SimNode]) -> None:
        """Raises Violation unless a round is certified soon enough on every honest validator."""
        genesis = self.world.genesis
        voters = {node.key for node in honest if node.key in genesis.validators}
        dealt = proposed = known = 0
        # Who starts when the faults stop takes part from the next slot on.
        first = self.scenario.rounds + 1
        for round_ in range(first, self.scenario.rounds + QUIET_ROUNDS_MAX):
            self.rounds = round_ + 1
            self.scheduler.run_until(slot_start_ms(genesis, round_ + 1))
            shards = [shard_round(genesis, round_, shard) for shard in range(self.scenario.shards)]
            if any(voters <= self.observer.certified_by.get(at, set()) for at in shards):
                return
            epochs = self.observer.epochs
            epoch = epochs.find(shards[0].epoch)
            if epochs.newest.number > known:
                # Many records may be missing: one a slot follows.
                known, proposed = epochs.newest.number, 0
            if epoch is None:
                proposed += self.observer.is_honest(proposer_of(epochs.newest, round_))
            else:
                dealt += any(self.observer.is_honest(dealer_of(epoch, at)) for at in shards)
            if dealt >= LIVE_WITHIN_ROUNDS or proposed >= LIVE_WITHIN_ROUNDS:
                break
        raise Violation(
            "lives after faults",
            f"{dealt} rounds had an honest dealer, and {proposed} without a record an honest proposer, "
            f"from round {first} on, for nothing",
        )


def _submit(node: SimValidator, item: bytes) -> None:
    if node.alive:
        node.enter(partial(node.submit, (item,)))


def _nodes(simulation: Simulation, plot: Plot) -> list[SimNode]:
    s, world = simulation, simulation.world
    parts = (s.scheduler, s.network, s.trace, s.observer, Shared())
    givers: list[SimValidator] = []
    for index, member in enumerate(world.validators):
        if index < len(s.scenario.lies):
            lies = frozenset(s.scenario.lies[index])
            givers.append(
                ByzantineValidator(member, world, *parts, lies=lies, plot=plot, seed=s.scenario.seed)
            )
        else:
            givers.append(SimValidator(member, world, *parts))
    nodes: list[SimNode] = [*givers]
    for member in world.joiners:
        givers[s.scenario.giver].gift = gift_to(registered(member), member.seed, world.genesis)
        nodes.append(SimValidator(member, world, *parts))
    for index, member in enumerate(world.encoders):
        # In their order, each worse than the one before.
        noise = NOISE_STEP * index
        if index < len(s.scenario.cheats):
            nodes.append(CheatingEncoder(member, world, *parts, cheat=s.scenario.cheats[index], noise=noise))
        else:
            nodes.append(SimEncoder(member, world, *parts, noise=noise))
    for index, member in enumerate(world.newcomers):
        if index >= s.scenario.newcomers:
            cheat = ZOO[s.scenario.seed % len(ZOO)]
            nodes.append(CheatingEncoder(member, world, *parts, cheat=cheat, noise=0.0))
        elif index % 2:
            cheat = DRAWN[(s.scenario.seed + index) % len(DRAWN)]
            nodes.append(CheatingEncoder(member, world, *parts, cheat=cheat, noise=0.0))
        else:
            nodes.append(SimEncoder(member, world, *parts, noise=0.0))
    return nodes
