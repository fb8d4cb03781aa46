"""`testnet up`: start the network, show it, stop it."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from rich.console import Console, RenderableType
from rich.live import Live

from node.clock import now_ms
from node.store import RoundState
from node.testnet.fleet import Fleet
from node.testnet.plan import TestnetPlan
from node.testnet.summary import summarise
from node.testnet.table import line, name_of, render
from node.testnet.watch import RoundView, Watcher
from protocol.rounds.attester import EXPIRY_SLOTS
from protocol.schedule import round_at

LOOK_EVERY_S = 0.5
PAST_KEPT = 512
"""Shard-rounds remembered for the summary."""
PATIENCE_SLOTS = 12
"""How many slots may pass without a shard dealt before the run is given up."""


@dataclass
class Run:
    """One run of a local network."""

    plan: TestnetPlan
    fleet: Fleet
    rounds: int | None
    console: Console
    started_ms: int
    """When the command began: latencies that users feel count from here."""
    certified_share_min: float = 1.0
    """Of the rounds dealt, for the run to have succeeded."""
    past: list[RoundView] = field(default_factory=list)
    rounds_done: int = 0
    """Rounds of which a shard was dealt and all shards are settled."""
    first_certificate_ms: int | None = None
    ended_because: str = ""
    _stopping: bool = False

    def go(self, on_tick: Callable[[Run], None] = lambda _: None) -> None:
        """Run until the rounds are done, the pool is spent, or somebody stops it."""
        watcher = Watcher(self.plan)
        with ExitStack() as stack:
            stack.callback(watcher.close)
            for number in (signal.SIGINT, signal.SIGTERM):
                stack.callback(signal.signal, number, signal.signal(number, self._stop))
            if self.console.is_terminal:
                with Live(console=self.console, refresh_per_second=4, transient=False) as live:
                    self._watch(
                        watcher, lambda current: live.update(self._picture(watcher, current)), on_tick
                    )
            else:
                self._watch(watcher, lambda _: None, on_tick)

    @property
    def succeeded(self) -> bool:
        """Whether the rounds that were dealt are certified, and as many as were wanted."""
        certified = sum(view.state is RoundState.CERTIFIED for view in self.past)
        enough = certified >= max(1, self.certified_share_min * len(self.past))
        return enough and self.rounds_done >= (self.rounds or 1)

    def write_summary(self, path: Path) -> None:
        """Write the record of the run as JSON."""
        document = summarise(self.plan, self.past, self.first_certificate_ms, now_ms() - self.started_ms)
        path.write_text(json.dumps(document, indent=2) + "\n")

    def _watch(
        self,
        watcher: Watcher,
        show: Callable[[RoundView | None], None],
        on_tick: Callable[[Run], None],
    ) -> None:
        shards = self.plan.genesis.parameters.shards_per_round
        following = 0  # how many shard-rounds are settled
        empty = 0
        while not self._stopping:
            running_round = round_at(self.plan.genesis, now_ms())
            current = None
            while following // shards <= running_round:
                view = watcher.round(*divmod(following, shards))
                if not self._settled(view, running_round):
                    current = view
                    break
                following += 1
                empty = 0 if view.dealt else empty + 1
                if view.dealt:
                    self._remember(view)
                if following % shards == 0 and empty < shards:
                    self.rounds_done += 1
            show(current)
            on_tick(self)
            if self._over(divmod(following, shards), empty // shards, watcher):
                return
            time.sleep(LOOK_EVERY_S)
        self.ended_because = "stopped"

    def _settled(self, view: RoundView, running_round: int) -> bool:
        """Whether nothing more will come of a round."""
        if view.state is RoundState.CERTIFIED:
            # Scores and the dealer's own last step are written a moment after the state.
            return (bool(view.scores) and view.certified_ms is not None) or view.round < running_round - 1
        if not view.dealt:
            return view.round < running_round
        if view.state is RoundState.VOID:
            # Why is written a moment after the state.
            return bool(view.reason) or view.round < running_round - 1
        return view.round < running_round - EXPIRY_SLOTS

    def _remember(self, view: RoundView) -> None:
        self.past.append(view)
        del self.past[:-PAST_KEPT]
        if view.state is RoundState.CERTIFIED and self.first_certificate_ms is None:
            self.first_certificate_ms = now_ms() - self.started_ms
        if not self.console.is_terminal:
            self.console.print(line(self.plan, view), highlight=False, markup=False, soft_wrap=True)

    def _over(self, following: tuple[int, int], empty: int, watcher: Watcher) -> bool:
        if self.rounds is not None and self.rounds_done >= self.rounds:
            self.ended_because = f"{self.rounds} rounds are done"
        elif fallen := self.fleet.fallen():
            name, status = sorted(fallen.items())[0]
            self.ended_because = f"{name} ended with status {status}:\n{self.fleet.last_words(name)}"
        elif not watcher.can_deal(*following):
            self.ended_because = "a validator's challenge items are spent; give more text with --data"
        elif empty >= PATIENCE_SLOTS:
            self.ended_because = f"no round was dealt for {empty} slots; see the logs of the nodes"
        return bool(self.ended_because)

    def _picture(self, watcher: Watcher, current: RoundView | None) -> RenderableType:
        running, wanted = watcher.ready()
        headline = f"{running} of {wanted} nodes run"
        if current is not None and current.dealt:
            headline += f"; round {name_of(self.plan, current)}: {_phase(current)}"
        elif not self.past:
            headline += "; waiting for the first round"
        return render(self.plan, current if current and current.dealt else None, self.past, headline)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self._stopping:
            self.fleet.kill_all()
            raise KeyboardInterrupt
        self._stopping = True


def _phase(view: RoundView) -> str:
    if view.score_ms is not None:
        return "attesting"
    if view.reveal_ms is not None:
        return "scoring"
    return "revealing" if len(view.wave_ms) == 3 else f"wave {len(view.wave_ms) + 1}"
