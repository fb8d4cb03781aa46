"""One simulated process: its life between two crashes, its clock, and its signer.

A crash loses all but the disk. Whatever happens in a process happens inside `enter`, one thing at a time.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Protocol

from node.signer.errors import OpensLaterError, SignerError
from node.sim.disk import Crash, Disk
from node.sim.epochs import epochs_on
from node.sim.network import Network
from node.sim.observer import Observer
from node.sim.scheduler import Scheduler
from node.sim.shared import Shared
from node.sim.signer import SimSigner
from node.sim.trace import Trace
from node.sim.world import Member, World
from protocol.epochs.known import Epochs
from protocol.genesis import Genesis
from protocol.hearing import Hearing
from protocol.rounds import effects as fx
from protocol.rounds import events as ev
from protocol.schedule import ShardRound, round_at

LOOK_AGAIN_MS = 5_000
"""How long a sleep until a time lasts at most before the clock is looked at again, as in `node/clock.py`."""
MEND_EVERY_MS = 3_000


class Machine(Protocol):
    """What a driver needs of a round machine."""

    def handle(self, event: ev.Event, now_ms: int) -> list[fx.Effect]:
        """The effects of one event."""


class SimProcess:
    """What a node is made of, how it begins and how it ends."""

    def __init__(
        self,
        member: Member,
        world: World,
        scheduler: Scheduler,
        network: Network,
        trace: Trace,
        observer: Observer,
        shared: Shared,
    ) -> None:
        self.member = member
        self.key = member.key
        self.world = world
        self.genesis: Genesis = world.genesis
        self.scheduler = scheduler
        self.network = network
        self.trace = trace
        self.observer = observer
        self.shared = shared
        self.disk = Disk()
        self.alive = False
        self.skew_ms = 0
        self.crash_in: int | None = None
        """Boundaries left until the process ends."""
        self.machines: dict[ShardRound, list[Machine]] = {}
        self.epochs = self.known_epochs()
        self.hearing = Hearing(self.epochs, self.shared.read)
        self.signer: SimSigner | None = None
        self._memory: OrderedDict[bytes, bytes] = OrderedDict()
        self._own: deque[tuple[ShardRound, ev.Event]] = deque()
        self.on_death: Callable[[], None] = lambda: None
        self._asked = 0
        self._life = 0  # processes so far: what an earlier one began is over

    def known_epochs(self) -> Epochs:
        """What a process knows of epochs when it begins: what is on its disk."""
        return epochs_on(self.disk, self.genesis)

    @property
    def now_ms(self) -> int:
        """What this node's clock shows."""
        return self.scheduler.now_ms + self.skew_ms

    def start(self) -> None:
        """Begin a process: open the signer, waiting as the node does, then take part."""
        self._life += 1
        self.epochs = self.known_epochs()
        self.machines, self.hearing, self.signer = {}, Hearing(self.epochs, self.shared.read), None
        self._memory.clear()
        self._own.clear()
        self.observer.restarted(self)
        self.note("starts")
        self.enter(self._open_signer)

    def _open_signer(self) -> None:
        try:
            self.signer = SimSigner(self.disk, self.member.seed, self.next_round(), self.boundary)
        except OpensLaterError as error:
            self.note(f"signer waits for round {error.first_round_min}")
            at_ms = self.genesis.content.genesis_time_ms
            at_ms += (error.first_round_min - 1) * self.genesis.parameters.slot_ms
            self.sleep_until(at_ms, self._open_signer)
        except SignerError as error:
            self.note(f"stops: {error}")
            self.after(MEND_EVERY_MS, self._open_signer)  # whoever supervises it starts it again
        else:
            self.alive = True  # the port opens only now: nobody hears from a node that cannot sign
            self.after(MEND_EVERY_MS, self._mend)
            self.joined()

    def next_round(self) -> int:
        """The first round that begins after now: an earlier process may have voted in the one that runs."""
        return max(0, round_at(self.genesis, self.now_ms) + 1)

    def _mend(self) -> None:
        assert self.signer is not None
        self.after(MEND_EVERY_MS, self._mend)
        if not self.signer.has_failed:
            return
        try:
            self.signer.open(self.next_round())
        except SignerError as error:
            self.note(f"signer failed: {error}")
        else:
            self.note(f"signer votes again from round {self.signer.first_round}")

    def joined(self) -> None:
        """The signer is open: take part."""

    def handle(self, at: ShardRound, event: ev.Event) -> None:
        """One event for the machines of a round."""

    def die(self, reason: str) -> None:
        """The process ends; only the disk is left."""
        self._life += 1
        self.alive = False
        self.crash_in = None
        self.machines = {}
        self.note(f"dies: {reason}")
        self.network.lost(self.key)
        self.on_death()

    def boundary(self, _: str) -> None:
        """A point between two steps, where a process may end."""
        if self.crash_in is None:
            return
        self.crash_in -= 1
        if self.crash_in <= 0:
            raise Crash("at a boundary")

    def enter(self, run: Callable[[], None]) -> None:
        """Let something happen in this process, and what follows from it at once."""
        try:
            run()
            while self._own:
                self.handle(*self._own.popleft())
        except Crash as crash:
            self.die(str(crash))
        self.observer.after_event(self)

    def after(self, delay_ms: int, run: Callable[[], None]) -> None:
        """Have something happen in this process later, if it still lives then."""
        life = self._life

        def wake() -> None:
            if self._life == life:
                self.enter(run)

        self.scheduler.after(delay_ms, wake)

    def sleep_until(self, at_ms: int, run: Callable[[], None]) -> None:
        """Have something happen when this node's clock shows `at_ms`; it looks again, as clocks are set."""

        def look() -> None:
            left_ms = at_ms - self.now_ms
            if left_ms > 0:
                self.after(min(left_ms, LOOK_AGAIN_MS), look)
            else:
                run()

        look()

    def note(self, what: str) -> None:
        """A line of the trace."""
        self.trace.note(self.scheduler.now_ms, self.member.name, what)
