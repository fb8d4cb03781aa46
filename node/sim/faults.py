"""What goes wrong and when: crashes, partitions, clocks and disks, each from a stream of its own, until all
is healed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from node.sim.disk import DiskState
from node.sim.network import Network, Weather
from node.sim.node import SimNode
from node.sim.scenario import Scenario, Shape, separation
from node.sim.scheduler import Scheduler
from node.sim.streams import chance, stream
from node.sim.trace import Trace

SKEWS_MS = (-500, 500, -5_000, 5_000, -3_600_000)
STEPS_BACK_MS = (-500, -5_000, -13_000, -13_000, -25_000, -3_600_000)
"""How far a clock may have gone back when a node starts again."""
CLOCK_BACK_PERCENT = 40
BOUNDARIES_MAX = 14
CRASH_WITHIN_MS = 3_000
"""An armed node that crosses no boundary in this time ends where it is."""
DOWN_MS = (100, 15_000)


class Faults:
    """All faults of one simulation."""

    def __init__(
        self,
        scenario: Scenario,
        scheduler: Scheduler,
        network: Network,
        trace: Trace,
        honest: Sequence[SimNode],
        end_ms: int,
    ) -> None:
        self._scenario = scenario
        self._scheduler = scheduler
        self._network = network
        self._trace = trace
        self._honest = honest
        self._begin_ms, self._end_ms = scheduler.now_ms, end_ms
        self._restarts = stream(scenario.seed, "restarts")
        self._healed = False

    def schedule(self) -> None:
        """Put everything that will go wrong into virtual time."""
        for node in self._honest:
            node.on_death = self._restart_later(node)
        self._crashes()
        self._partitions()
        self._clocks()
        self._disks()
        self._scheduler.at(self._end_ms, self._heal)

    def _moment(self, name: str, number: int) -> tuple[int, int]:
        """When fault `number` of a kind begins and ends."""
        draw = stream(self._scenario.seed, f"{name} {number} when")
        begin_ms = draw.randint(self._begin_ms, self._end_ms - 1)
        return begin_ms, min(begin_ms + draw.randint(500, 20_000), self._end_ms)

    def _crashes(self) -> None:
        for number in range(self._scenario.crashes):
            draw = stream(self._scenario.seed, f"crash {number}")
            voters = [node for node in self._honest if node.key in node.genesis.validators]
            # As often a validator as an encoder: a validator has more to lose.
            node = draw.choice(voters if chance(draw, 50) else self._honest)
            boundaries = draw.randint(1, BOUNDARIES_MAX)
            begin_ms, _ = self._moment("crash", number)
            self._scheduler.at(begin_ms, self._arm(node, boundaries))

    def _arm(self, node: SimNode, boundaries: int) -> Callable[[], None]:
        def fall() -> None:
            if node.alive and node.crash_in is not None:
                node.die("between two events")

        def arm() -> None:
            if node.alive:
                node.crash_in = boundaries
                self._scheduler.after(CRASH_WITHIN_MS, fall)

        return arm

    def _restart_later(self, node: SimNode) -> Callable[[], None]:
        def restart() -> None:
            if not node.alive and not self._healed:
                if chance(self._restarts, CLOCK_BACK_PERCENT):
                    node.skew_ms += self._restarts.choice(STEPS_BACK_MS)
                node.start()

        def later() -> None:
            self._scheduler.after(self._restarts.randint(*DOWN_MS), restart)

        return later

    def _partitions(self) -> None:
        for number in range(self._scenario.partitions):
            draw = stream(self._scenario.seed, f"partition {number}")
            shape = draw.choice(tuple(Shape))
            reach = separation(shape, tuple(self._network.peers), draw)
            begin_ms, end_ms = self._moment("partition", number)
            self._scheduler.at(begin_ms, self._cut(shape, reach))
            self._scheduler.at(end_ms, self._network.heal)

    def _cut(self, shape: Shape, reach: dict[bytes, frozenset[bytes]]) -> Callable[[], None]:
        def cut() -> None:
            self._trace.note(self._scheduler.now_ms, "-", f"partition: {shape.value}")
            self._network.cut(lambda a, b: b not in reach[a])

        return cut

    def _clocks(self) -> None:
        for number in range(self._scenario.skewed_clocks):
            draw = stream(self._scenario.seed, f"clock {number}")
            node, skew_ms = draw.choice(self._honest), draw.choice(SKEWS_MS)
            begin_ms, _ = self._moment("clock", number)
            self._scheduler.at(begin_ms if chance(draw, 50) else self._begin_ms, self._set(node, skew_ms))

    def _set(self, node: SimNode, skew_ms: int) -> Callable[[], None]:
        def set_clock() -> None:
            node.skew_ms = skew_ms
            node.note(f"clock is off by {skew_ms} ms")

        return set_clock

    def _disks(self) -> None:
        for number in range(self._scenario.disk_faults):
            draw = stream(self._scenario.seed, f"disk {number}")
            node = draw.choice(self._honest)
            state = draw.choice((DiskState.REFUSES, DiskState.UNSURE, DiskState.TORN))
            begin_ms, end_ms = self._moment("disk", number)
            self._scheduler.at(begin_ms, self._turn(node, state))
            self._scheduler.at(end_ms, self._turn(node, DiskState.WORKS))

    def _turn(self, node: SimNode, state: DiskState) -> Callable[[], None]:
        def turn() -> None:
            node.disk.state = state
            node.note(f"disk {state.value}")

        return turn

    def _heal(self) -> None:
        self._healed = True
        self._trace.note(self._scheduler.now_ms, "-", "all faults stop")
        self._network.weather = Weather()
        self._network.heal()
        for node in self._honest:
            node.skew_ms = 0
            node.crash_in = None
            node.disk.state = DiskState.WORKS
            if not node.alive:
                node.start()
