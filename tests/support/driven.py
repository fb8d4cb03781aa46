"""One round machine driven by hand, and the events of an honest round to drive it with.

Alice deals, Bob is another validator, Carol and Dave are encoders of the shard.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from protocol.codec import encode
from protocol.messages import Attestation, Body
from protocol.report import Deviation
from protocol.rounds import AttesterMachine, DealerMachine, EncoderMachine
from protocol.rounds import effects as fx
from protocol.rounds import events as ev
from protocol.statement import Statement
from tests.support.epochs import epoch_of
from tests.support.honest_round import HonestRound, honest_round

ROUND = honest_round()
GENESIS, AT, NOW_MS = ROUND.genesis, ROUND.at, ROUND.now_ms
ALICE, BOB, CAROL, DAVE = ROUND.dealer, ROUND.bystanders[0], ROUND.shard[0], ROUND.shard[1]
Machine = DealerMachine | AttesterMachine | EncoderMachine
E = TypeVar("E")


def changed(record: Any, /, **changes: object) -> Any:
    return msgspec.structs.replace(record, **changes)


class Driven:
    """A machine whose own statements come back to it, and everything it has asked for."""

    def __init__(self, machine: Machine, world: HonestRound = ROUND) -> None:
        self.machine, self.world = machine, world
        self.effects: list[fx.Effect] = []
        self.said: list[Statement[Body]] = []

    def tell(self, *events: ev.Event, now_ms: int = NOW_MS, hears_itself: bool = True) -> list[fx.Effect]:
        """Handle events; returns the new effects, those of its own statements included."""
        new = [effect for event in events for effect in self._handle(event, now_ms, hears_itself)]
        self.effects += new
        return new

    def _handle(self, event: ev.Event, now_ms: int, hears_itself: bool) -> list[fx.Effect]:
        effects = self.machine.handle(event, now_ms)
        for effect in list(effects):
            if isinstance(effect, fx.Broadcast | fx.Send):
                statement = self.world.sign(self.machine.me, effect.body)
                self.said.append(statement)
                if isinstance(effect, fx.Broadcast) and hears_itself:
                    effects = [*effects, *self._handle(ev.Received(statement), now_ms, hears_itself)]
        return effects

    def bodies(self, kind: type[E]) -> list[E]:
        return [s.body for s in self.said if isinstance(s.body, kind)]


def of(effects: Sequence[fx.Effect], kind: type[E]) -> list[E]:
    return [effect for effect in effects if isinstance(effect, kind)]


def dealer() -> Driven:
    return Driven(DealerMachine(epoch_of(GENESIS, AT), AT, ALICE))


def attester(key: bytes = BOB) -> Driven:
    return Driven(AttesterMachine(epoch_of(GENESIS, AT), AT, key))


def encoder(key: bytes = CAROL) -> Driven:
    return Driven(EncoderMachine(epoch_of(GENESIS, AT), AT, key, ROUND.people[key].seed))


def commits(wave: int, *without: bytes) -> list[ev.Event]:
    return [ev.Received(ROUND.commit(key, wave)) for key in ROUND.shard if key not in without]


def reveals(*without: bytes) -> list[ev.Event]:
    return [ev.Received(ROUND.reveal(key)) for key in ROUND.shard if key not in without]


BLOBS = {
    event.digest: event.data
    for events in ROUND.told.values()
    for event in events
    if isinstance(event, ev.Fetched)
}


def answers(key: bytes) -> list[ev.Event]:
    return [ev.Fetched(name, BLOBS[name]) for name in ROUND.reveal(key).body.answers]


def all_answers(*without: bytes) -> list[ev.Event]:
    return [event for key in ROUND.shard if key not in without for event in answers(key)]


SCORED = next(event for event in ROUND.told[ALICE] if isinstance(event, ev.Scored))
BODY = ev.Fetched(ROUND.header.body.body, encode(ROUND.body))
AGREED = ev.Recomputed((Deviation("score", b"", 0),))
HEADER = ev.Received(ROUND.header)

TO_REVEALS: list[ev.Event] = [ROUND.deal, *commits(1), *commits(2), *commits(3)]
TO_SCORING = [*TO_REVEALS, *reveals(), *all_answers()]
TO_RECOMPUTING: list[ev.Event] = [HEADER, BODY, *all_answers()]
CHALLENGE = ev.Received(ROUND.challenge)
LOCKS = [ev.Received(lock) for lock in ROUND.locks]
VIEWS = [ev.Fetched(wave.digest, BLOBS[wave.digest]) for wave in ROUND.challenge.body.waves]
ENCODED = [ev.Encoded(wave, answer.data) for wave, answer in enumerate(answers(CAROL), 1)]  # type: ignore[union-attr]
TO_COMMITTED: list[ev.Event] = [CHALLENGE, *VIEWS, ENCODED[0]]


def votes(name: bytes | None = None) -> list[ev.Event]:
    vote = Attestation(AT, name or ROUND.header.digest)
    return [ev.Received(ROUND.sign(key, vote)) for key in GENESIS.validators]
