"""`testnet up --chaos`: nodes of a local network are killed, and come back."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from node.testnet.fleet import Fleet
from node.testnet.plan import NodePlan, TestnetPlan

DOWN_S = 8.0
"""How long a killed node stays away: longer than a localnet round takes, so that one is missed."""


@dataclass
class Chaos:
    """Kills one node at a time, as a power cut would, and starts it again `down_s` later.

    One at a time: a certificate needs two thirds of the stake, which four validators still have without one
    of them. `every_s` is the time from one kill to the next. Which node is hit comes from `seed`; `tell` gets
    a line for each.
    """

    plan: TestnetPlan
    fleet: Fleet
    every_s: float
    seed: int
    tell: Callable[[str], None]
    down_s: float = DOWN_S
    clock_s: Callable[[], float] = time.monotonic
    kills: int = 0
    _random: random.Random = field(init=False)
    _down: NodePlan | None = field(default=None, init=False)
    _next_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._next_s = self.clock_s() + self.every_s

    def tick(self) -> None:
        """Do what is due: call it a few times a second."""
        now_s = self.clock_s()
        if now_s < self._next_s:
            return
        if self._down is None:
            self._down = self._random.choice(self.plan.nodes)
            self.fleet.cut(self._down.name)
            self.kills += 1
            self.tell(f"chaos: {self._down.name} is killed")
            self._next_s = now_s + self.down_s
        else:
            self.fleet.start(self._down.name)
            self.tell(f"chaos: {self._down.name} is started again")
            self._down = None
            self._next_s = now_s + max(0.0, self.every_s - self.down_s)
