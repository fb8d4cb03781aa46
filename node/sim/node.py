"""One simulated node: what `node/driver.py` does with machines, effects and statements, in virtual time.

Events one at a time, the effects of each in order, one's own statements at once. Whatever is persisted or
signed is on the disk before the next effect begins.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from node.signer.errors import SignerError
from node.sim.epochs import FOLLOW_EVERY_MS, ToldEpoch, checked_epochs, told_epochs
from node.sim.statements import SpeakingProcess
from node.sim.vectors import StandInError
from node.store.errors import StoreError
from protocol.codec import CodecError
from protocol.epochs.agreed import EpochCertificateError
from protocol.epochs.record import RecordError
from protocol.epochs.view import Epoch
from protocol.hashing import content_digest
from protocol.report import ScoreTask
from protocol.rounds import effects as fx
from protocol.rounds import events as ev
from protocol.schedule import ShardRound

SCORING_MS = 200
INPUTS_MS = 50
"""What gathering or checking the inputs of a record takes."""
BLOBS_IN_MEMORY_MAX = 512


class SimNode(SpeakingProcess):
    """What validators and encoders have in common."""

    def joined(self) -> None:
        """Take part. What a role does, after this."""
        self.follow()

    # -- machines and effects ------------------------------------------------------------------------------

    def handle(self, at: ShardRound, event: ev.Event) -> None:
        """One event for the machines of a round; a failure of disk or signer costs this round only."""
        for machine in self.machines.get(at, ()):
            try:
                effects = machine.handle(event, self.now_ms)
                if effects:
                    self.observer.handled(self, machine)
                    self.carry_out(at, effects)
            except (SignerError, StoreError) as error:
                self.note(f"abandons round {at}: {error}")
                self.machines.pop(at, None)
                return

    def carry_out(self, at: ShardRound, effects: Sequence[fx.Effect]) -> None:
        """Effects in their order, each between two boundaries."""
        for effect in effects:
            self.boundary("before an effect")
            self.one(at, effect)
            self.boundary("after an effect")

    def one(self, at: ShardRound, effect: fx.Effect) -> None:
        """Carry out one effect."""
        match effect:
            case fx.Persist(fact):
                self.persist(fact)
            case fx.Broadcast(body, handed_to):
                statement = self.say(body)
                for key in handed_to:
                    self.network.hand(self.key, key, statement.data)
                self.gossip(statement)
                self._own.append((at, ev.Received(statement)))
            case fx.Send(body, to):
                statement = self.say(body)
                for key in to:
                    self.network.hand(self.key, key, statement.data)
            case fx.Provide(data, _):
                self.keep(content_digest(data), data)
            case fx.Fetch(name, size_bytes, sources, _):
                self._fetch(at, name, size_bytes, [key for key in sources if key != self.key])
            case fx.SetTimer(timer, at_ms):
                self.sleep_until(at_ms, lambda: self.handle(at, ev.TimerFired(timer)))
            case fx.Encode(wave, views):
                self.encode(at, wave, tuple(view.decode() for view in views))  # simulated networks embed text
            case fx.Score(task):
                self.after(SCORING_MS, lambda: self.handle(at, self.scored(task)))
            case fx.Recompute():
                self.after(SCORING_MS, lambda: self.handle(at, self._recomputed(effect)))
            case fx.GatherInputs() | fx.CheckInputs():
                self.after(INPUTS_MS, lambda: self.inputs(at, effect))
            case fx.Penalise(key, reason):
                self.note(f"penalises {self.observer.name_of(key)}: {reason}")
            case fx.Publish(_, step, wave):
                self.note(
                    f"round {at} {step.value}{f' wave {wave}' if wave else ''} {effect.detail}".rstrip()
                )

    def persist(self, fact: fx.Fact) -> None:
        """Write a fact down. Raises StoreError. An encoder keeps epochs in memory only."""
        if isinstance(fact, fx.EpochDecided):
            self.begins(fact.epoch)
            self.observer.persisted(self, fact)

    def inputs(self, at: ShardRound, effect: fx.GatherInputs | fx.CheckInputs) -> None:
        """Gather or check what the next epoch is computed from. Validators do."""

    def encode(self, at: ShardRound, wave: int, texts: tuple[str, ...]) -> None:
        """Answer a wave later. Encoders do."""

    def scored(self, task: ScoreTask) -> ev.Event:
        """The answer to Score."""
        try:
            return ev.Scored(self.shared.scores(task, self.blob))
        except StandInError as error:
            return ev.ScoringFailed(str(error))

    def _recomputed(self, effect: fx.Recompute) -> ev.Event:
        try:
            return ev.Recomputed(self.shared.comparison(effect.task, self.blob, effect.claimed))
        except StandInError as error:
            return ev.ScoringFailed(str(error))

    # -- blobs ---------------------------------------------------------------------------------------------

    def blob(self, digest: bytes) -> bytes | None:
        """A blob that is here."""
        return self._memory.get(digest)

    def serve(self, digest: bytes, to: bytes) -> bytes | None:
        """A blob for somebody who asks."""
        return self.blob(digest)

    def keep(self, name: bytes, data: bytes) -> None:
        """Keep bytes under their digest; a validator makes them durable first. Raises StoreError."""
        self._memory[name] = data
        while len(self._memory) > BLOBS_IN_MEMORY_MAX:
            self._memory.popitem(last=False)
        self.observer.provided(name, data)

    def _fetch(self, at: ShardRound, name: bytes, size_bytes: int, sources: Sequence[bytes]) -> None:
        here = self.blob(name)
        if here is not None:
            self.after(0, lambda: self.handle(at, ev.Fetched(name, here)))
            return
        life, left = self._life, deque(sources)

        def ask() -> None:
            if left:
                self.network.fetch(self.key, name, left.popleft(), arrived)
            else:
                self.after(1, lambda: self.handle(at, ev.Unavailable(name, tuple(sources))))

        def arrived(data: bytes | None) -> None:
            if self._life != life:
                return
            if data is None or len(data) != size_bytes or self.shared.content_digest(data) != name:
                ask()
            else:
                self.enter(lambda: self._fetched(at, name, data))

        ask()

    def _fetched(self, at: ShardRound, name: bytes, data: bytes) -> None:
        try:
            self.keep(name, data)
        except StoreError as error:
            self.note(f"abandons round {at}: {error}")
            self.machines.pop(at, None)
        else:
            self.handle(at, ev.Fetched(name, data))

    # -- epochs --------------------------------------------------------------------------------------------

    def follow(self) -> None:
        """Ask one validator after another for the records that are missing here."""
        self.after(FOLLOW_EVERY_MS, self.follow)
        others = [key for key in self.genesis.validators if key != self.key]
        source = others[self._asked % len(others)]
        self._asked += 1
        first, life = self.epochs.newest.number + 1, self._life

        def told(epochs: tuple[ToldEpoch, ...] | None) -> None:
            if self._life == life and epochs:
                self.enter(lambda: self._take_epochs(epochs))

        self.network.ask(self.key, source, lambda peer: peer.tell_epochs(first), told)
        self.catch_up(source)

    def _take_epochs(self, told: tuple[ToldEpoch, ...]) -> None:
        newest = self.epochs.newest.number
        told = tuple(one for one in told if one.record.certificate.epoch > newest)
        try:
            for fact in checked_epochs(self.epochs, told):
                self.persist(fact)
                self.note(f"catches up with epoch {fact.epoch.number}")
        except (CodecError, RecordError, EpochCertificateError, StoreError) as error:
            self.note(f"takes no epoch: {error}")

    def tell_epochs(self, first: int) -> tuple[ToldEpoch, ...]:
        """The epochs from a number on that are written down here."""
        return told_epochs(self.disk, first)

    def tell_rounds(self, epoch: int) -> tuple[fx.RoundCertified, ...]:
        """The certified rounds of an epoch that are written down here."""
        return ()

    def take_items(self, items: tuple[bytes, ...]) -> None:
        """Serve what users have submitted elsewhere. Validators do."""

    def catch_up(self, source: bytes) -> None:
        """Ask a validator for certified rounds that are missing here. Validators do."""

    def begins(self, epoch: Epoch) -> None:
        """Take up an epoch whose record is written down."""
        if epoch.number == self.epochs.newest.number + 1:
            self.epochs.add(epoch)
