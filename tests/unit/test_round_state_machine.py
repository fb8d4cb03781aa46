"""A whole shard-round in any order: its members keep their promises whatever arrives, when, how often."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from protocol.hashing import digest
from protocol.messages import Attestation, Body, Commit, Dispute, Lock, Report, Reveal
from protocol.rounds import AttesterPhase, DealerPhase
from protocol.rounds import effects as fx
from protocol.rounds import events as ev
from tests.support.honest_round import plain_scores
from tests.support.open_round import OpenRound, Task
from tests.support.replayed_round import changed
from tests.support.round_promises import AT, ROUND

B = TypeVar("B", bound=Body)
DEALER, VALIDATOR, ENCODER = ROUND.dealer, ROUND.bystanders[-1], ROUND.shard[-1]
LIARS = [frozenset(), frozenset({VALIDATOR, ENCODER}), frozenset({DEALER, ENCODER}), frozenset({DEALER})]
"""Less than a third of the stake each."""
FALSE_SCORES = [None, None, bytes(8), b"\x7f" * 40]
MEMBERS = [*ROUND.genesis.validators, *ROUND.shard]
DEALER_ENDS = {DealerPhase.REPORTED, DealerPhase.VOID}
ATTESTER_ENDS = {AttesterPhase.ATTESTED, AttesterPhase.DISPUTED, AttesterPhase.EXPIRED}
STEPS_TO_THE_END_MAX = 20_000
places, seeds = st.integers(0, 10**6), st.integers(0, 2**16)


Twist = Callable[[Body], Body | None]


def twists(kind: type[Body], **changes: object) -> Twist:
    """Bodies of one kind with some fields changed."""
    return lambda body: changed(body, **changes) if isinstance(body, kind) else None


def other_commits(body: Body) -> Body | None:
    """A lock over commits that nobody has made."""
    if not isinstance(body, Lock):
        return None
    return changed(body, commits=tuple(changed(ref, commit=bytes(32)) for ref in body.commits))  # type: ignore[no-any-return]


TWISTS = [
    twists(Lock, previous=bytes(32)),
    other_commits,
    twists(Report, consensus_root=bytes(32)),
    twists(Commit, lock=bytes(32)),
    twists(Commit, commitment=bytes(32)),
    twists(Reveal, lock=bytes(32)),
    twists(Reveal, salts=(bytes(32),) * 3),
    twists(Attestation, report=bytes(32)),
]


def some(seed: int) -> tuple[bytes, ...]:
    """Half of the members."""
    return tuple(Random(seed).sample(MEMBERS, len(MEMBERS) // 2))


class ShardRound(RuleBasedStateMachine):
    """Dealer, attesters and encoders of one round, and a world that does them no favours."""

    def __init__(self) -> None:
        super().__init__()
        self.round = OpenRound()
        self.trouble = False
        self.false_scores: bytes | None = None
        self.faultless = True
        """Until something is lost, late, gone, wrong or a lie."""

    @initialize(
        trouble=st.booleans(),
        liars=st.sampled_from(LIARS),
        twist=st.sampled_from(TWISTS),
        to=seeds,
        scores=st.sampled_from(FALSE_SCORES),
    )
    def deal(
        self, trouble: bool, liars: frozenset[bytes], twist: Twist, to: int, scores: bytes | None
    ) -> None:
        """Drawn at the start: what goes wrong, who lies, how and to whom, and a lying dealer's weights."""
        self.trouble, self.round = trouble, OpenRound(liars, twist, some(to))
        self.faultless = not liars
        self.false_scores = scores if DEALER in liars else None
        self.round.tell(DEALER, ROUND.deal)

    # -- progress, in any order ----------------------------------------------------------------------------

    @precondition(lambda self: self.is_under_way())
    @rule(steps=st.integers(1, 20), seed=seeds)
    def go_on(self, steps: int, seed: int) -> None:
        """So many things happen, in an order that a seed draws."""
        draw = Random(seed)
        for _ in range(steps):
            self.step(draw)

    @precondition(lambda self: self.is_under_way())
    @rule(share=st.integers(1, 3), seed=seeds)
    def go_on_for_long(self, share: int, seed: int) -> None:
        """A third, two thirds or all of what is under way just now comes to an end."""
        self.go_on((len(self.round.post) + len(self.open_tasks())) * share // 3, seed)

    @precondition(lambda self: self.round.delivered)
    @rule(place=places, times=st.integers(1, 3))
    def deliver_again(self, place: int, times: int) -> None:
        for _ in range(times):
            self.round.deliver(self.round.delivered[place % len(self.round.delivered)])

    @precondition(lambda self: self.round.delivered)
    @rule(place=places)
    def tell_a_machine_twice(self, place: int) -> None:
        """Past the node's memory: a machine by itself counts nothing twice either."""
        packet = self.round.delivered[place % len(self.round.delivered)]
        self.round.tell(packet.to, ev.Received(packet.statement))

    # -- misfortunes ---------------------------------------------------------------------------------------

    @precondition(lambda self: self.trouble and self.round.post)
    @rule(share=st.integers(1, 9), seed=seeds)
    def lose(self, share: int, seed: int) -> None:
        draw = Random(seed)
        self.round.post = [packet for packet in self.round.post if draw.randrange(10) >= share]
        self.faultless = False

    @precondition(lambda self: self.trouble and self.open_timers())
    @rule(place=st.sampled_from([0, 0, 0, 1, 2, 7]), late_ms=st.sampled_from([0, 0, 4_000, 30_000]))
    def time_passes(self, place: int, late_ms: int) -> None:
        timers = self.open_timers()
        self.round.fire(*timers[place % len(timers)], late_ms)
        self.faultless = False

    @precondition(lambda self: self.trouble and self.open_tasks())
    @rule(place=places)
    def task_goes_wrong(self, place: int) -> None:
        tasks = self.open_tasks()
        self.round.finish(*tasks[place % len(tasks)], wrong=True)
        self.faultless = False

    @precondition(lambda self: self.trouble)
    @rule(key=st.sampled_from(MEMBERS), ends=st.sampled_from([False, False, True]))
    def connections_are_lost(self, key: bytes, ends: bool) -> None:
        """Of one member with all others; its process may have ended."""
        self.round.members[key].alive &= not ends
        for other in MEMBERS:
            if other != key:
                self.round.tell(other, ev.PeerGone(key))
        self.faultless = False

    # -- lies ----------------------------------------------------------------------------------------------

    @precondition(lambda self: DEALER in self.round.liars)
    @rule(place=places, field=st.sampled_from(["previous", "wave", "commits", "refs"]), to=seeds)
    def dealer_locks_otherwise(self, place: int, field: str, to: int) -> None:
        """Another lock than it has made: of another history, or over other commits."""
        lock = self.any_of(Lock, place)
        if lock is not None:
            other = [changed(ref, commit=self.any_name(place)) for ref in lock.commits]
            lies = {
                "previous": {"previous": self.any_name(place)},
                "wave": {"wave": place % 2 + 1, "next_wave_key": bytes(32)},
                "commits": {"commits": lock.commits[1:]},
                "refs": {"commits": tuple(other)},
            }
            self.lie(DEALER, changed(lock, **lies[field]), some(to))

    @precondition(lambda self: DEALER in self.round.liars)
    @rule(place=places, items=st.sampled_from([8, 9]), to=seeds)
    def dealer_reports_twice(self, place: int, items: int, to: int) -> None:
        report = self.any_of(Report, place)
        if report is not None:
            self.lie(DEALER, changed(report, items=items, consensus_root=self.any_name(place)), some(to))

    @precondition(lambda self: ENCODER in self.round.liars)
    @rule(wave=st.integers(0, 3), place=places, drawn=st.sampled_from([b"a", b"b"]))
    def encoder_lies(self, wave: int, place: int, drawn: bytes) -> None:
        """Another commit, or (wave 0) another reveal, that answers anything that was said."""
        lock, other = self.any_name(place), digest("lie", drawn)
        if wave:
            self.lie(ENCODER, Commit(AT, wave, lock, other))
        else:
            self.lie(ENCODER, Reveal(AT, lock, (other,) * 3, (other,) * 3), (DEALER,))

    @precondition(lambda self: VALIDATOR in self.round.liars)
    @rule(place=places, disputes=st.booleans())
    def validator_lies(self, place: int, disputes: bool) -> None:
        name = self.any_name(place)
        self.lie(VALIDATOR, Dispute(AT, name, "score", b"", 7, "") if disputes else Attestation(AT, name))

    def lie(self, key: bytes, body: Body, to: tuple[bytes, ...] | None = None) -> None:
        self.round.lie(key, body, to)
        self.faultless = False

    # -- what must hold after every step; more is checked as things are said -------------------------------

    @invariant()
    def nothing_grows_without_bound(self) -> None:
        self.round.check_bounds()

    @invariant()
    def one_certificate(self) -> None:
        assert len({certificate.report for certificate in self.round.certificates()}) <= 1

    def teardown(self) -> None:
        """All that is still on its way arrives, then every timer fires: everyone comes to an end."""
        draw = Random(0)
        for _ in range(STEPS_TO_THE_END_MAX):
            if not (self.step(draw) or self.fire_next()):
                break
        else:
            raise AssertionError("the round never ends")
        self.nothing_grows_without_bound()
        self.one_certificate()
        dealer = self.round.members[DEALER]
        assert not dealer.alive or dealer.machines[0].phase in DEALER_ENDS
        for member in (self.round.members[key] for key in ROUND.genesis.validators):
            ends = [fact for fact in member.facts if isinstance(fact, fx.RoundCertified | fx.RoundVoid)]
            if member.alive:
                assert member.machines[-1].phase in ATTESTER_ENDS
                assert ends or self.round.certificates(), "it ends without a word"
        if self.faultless:
            assert len(self.round.certificates()) == len(ROUND.genesis.validators)

    # -- helpers -------------------------------------------------------------------------------------------

    def open_tasks(self) -> list[tuple[bytes, Task]]:
        members = self.round.members.values()
        return [(member.key, task) for member in members if member.alive for task in member.tasks]

    def open_timers(self) -> list[tuple[bytes, fx.SetTimer]]:
        members = self.round.members.values()
        timers = [(member.key, timer) for member in members if member.alive for timer in member.timers]
        return sorted(timers, key=lambda one: one[1].at_ms)

    def is_under_way(self) -> bool:
        return bool(self.round.post or self.open_tasks())

    def any_name(self, place: int) -> bytes:
        names = [*self.round.promises.said, bytes(32)]
        return names[place % len(names)]

    def any_of(self, kind: type[B], place: int) -> B | None:
        """A body of this kind that was said, if any."""
        found = [one.body for one in self.round.promises.said.values() if isinstance(one.body, kind)]
        return found[place % len(found)] if found else None

    def step(self, draw: Random) -> bool:
        """One arrival or one answer; False when there is none."""
        tasks = self.open_tasks()
        choices = len(self.round.post) + len(tasks)
        if not choices:
            return False
        place = draw.randrange(choices)
        if place < len(self.round.post):
            self.round.deliver(self.round.post.pop(place))
        else:
            self.finish(*tasks[place - len(self.round.post)])
        return True

    def finish(self, key: bytes, task: Task) -> None:
        member = self.round.members[key]
        if isinstance(task, fx.Score) and self.false_scores is not None:
            member.tasks.remove(task)
            lie = changed(plain_scores(task.task, member.blobs), weight=self.false_scores)
            self.round.tell(key, ev.Scored(lie))
            self.faultless = False
        else:
            self.round.finish(key, task)

    def fire_next(self) -> bool:
        timers = self.open_timers()
        if timers:
            self.round.fire(*timers[0])
        return bool(timers)


def run(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        ShardRound, settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None)
    )


def test_round_in_any_order__keeps_every_promise() -> None:
    run(examples=60, steps=40)


@pytest.mark.slow
def test_round_in_any_order__keeps_every_promise_in_many_more() -> None:
    run(examples=1_000, steps=60)
