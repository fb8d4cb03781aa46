"""Canaries for each single rule of the one-vote rule: switched off alone, each is caught within a few seeds.

The signer's rules stand behind each other, so that one of them off does no harm that could be seen from
outside. What the observer checks is therefore nearer: no statement leaves before its vote is on the disk, and
no process votes in rounds in which an earlier one has. What even that cannot show has its own test below.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

import protocol.evidence
from node.signer import VOTE_KINDS
from node.signer.errors import EquivocationRefused
from node.sim.run import simulate
from node.sim.scenario import Wishes, draw_scenario
from node.sim.signer import SimSigner
from protocol.evidence import Slot
from protocol.hearing import Hearing
from protocol.messages import Body, Kind
from protocol.statement import Statement

pytestmark = pytest.mark.slow
KINDS = sorted(VOTE_KINDS)
OF_ROUNDS = [Kind.CHALLENGE, Kind.COMMIT, Kind.LOCK, Kind.REVEAL, Kind.REPORT, Kind.ATTESTATION]
CRASHES = Wishes(validators=4, encoders=5, byzantine=0, cheaters=0, crashes=120, rounds=12)
"""Honest validators that keep dying and coming back, often with a clock that was set back."""
AGREEING = Wishes(validators=4, byzantine=1, cheaters=0, crashes=0, rounds=8, loss_percent=0)
"""Long enough to agree on a record, with one who tells two stories of it."""


def caught(seeds: int, wishes: Wishes = Wishes()) -> str:  # noqa: B008 (frozen)
    """The first invariant that broke within so many seeds; the empty string when none did."""
    for seed in range(seeds):
        violation = simulate(draw_scenario(seed, wishes)).violation
        if violation:
            return violation.split(":")[0]
    return ""


@pytest.mark.parametrize("kind", KINDS)
def test_kind_without_slot__is_caught_in_one_seed(monkeypatch: pytest.MonkeyPatch, kind: Kind) -> None:
    """The protocol's rule off for one kind: it is signed freely, and two of it are no evidence."""
    monkeypatch.setattr(protocol.evidence, "VOTE_KINDS", VOTE_KINDS - {kind})
    assert caught(1) == "durable before said"


@pytest.mark.parametrize("kind", KINDS)
def test_kind_that_is_not_recorded__is_caught_in_one_seed(
    monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    """The signer's rule off for one kind."""
    honest = SimSigner.sign

    def sign(self: SimSigner, slot: Slot | None, name: bytes) -> bytes:
        return honest(self, None if slot is not None and slot[0] is kind else slot, name)

    monkeypatch.setattr(SimSigner, "sign", sign)
    assert caught(1) == "durable before said"


def forget_first(monkeypatch: pytest.MonkeyPatch, kind: Kind) -> None:
    """The memory's rule off for one kind."""

    honest = Hearing._first_in

    def forgets(self: Hearing, slot: Slot) -> Statement[Body] | None:
        return None if slot[0] is kind else honest(self, slot)

    monkeypatch.setattr(Hearing, "_first_in", forgets)


@pytest.mark.parametrize("kind", OF_ROUNDS)
def test_kind_whose_first_is_forgotten__is_caught_in_forty_seeds(
    monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    """Somebody lies in each kind of a round, and both lies are believed."""
    forget_first(monkeypatch, kind)
    assert caught(40) == "one statement a slot"


@pytest.mark.parametrize("kind", [Kind.PROPOSAL, Kind.PREVOTE, Kind.PRECOMMIT])
def test_kind_of_agreement_whose_first_is_forgotten__is_caught_in_twenty_seeds(
    monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    """The same for what is said in agreeing on a record: a liar proposes and votes twice."""
    forget_first(monkeypatch, kind)
    assert caught(20, AGREEING) == "one statement a slot"


def test_agreement_with_a_liar__breaks_nothing() -> None:
    assert caught(10, AGREEING) == ""


def open_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signer that opens though its clock is behind what the key was used for."""
    honest = SimSigner.open

    def open_anyway(self: SimSigner, first_round: int) -> None:
        closed_round, self._disk.closed_round = self._disk.closed_round, -1
        try:
            honest(self, first_round)
        finally:
            self._disk.closed_round = max(self._disk.closed_round, closed_round)

    monkeypatch.setattr(SimSigner, "open", open_anyway)


def test_honest_signers__break_nothing_however_often_they_crash() -> None:
    assert caught(40, CRASHES) == ""


def test_clock_behind_the_last_vote__is_caught_in_sixty_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    open_behind(monkeypatch)
    assert caught(60, CRASHES) == "earlier rounds are closed"


def test_write_failure_taken_for_success__is_caught_in_sixty_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = SimSigner._write

    def write(self: SimSigner, change: Callable[[], None]) -> None:
        try:
            honest(self, change)
        except Exception:
            self._usable = True

    monkeypatch.setattr(SimSigner, "_write", write)
    assert (
        caught(60, Wishes(validators=4, byzantine=1, cheaters=0, crashes=10, rounds=6))
        == "durable before said"
    )


def second_digest_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signer that signs another statement for a slot it has voted in."""
    honest = SimSigner._vote

    def vote(self: SimSigner, slot: Slot, name: bytes) -> None:
        try:
            honest(self, slot, name)
        except EquivocationRefused:
            self._disk.votes[slot] = name

    monkeypatch.setattr(SimSigner, "_vote", vote)


def early_votes_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signer that votes in rounds before its first."""
    honest = SimSigner._vote

    def vote(self: SimSigner, slot: Slot, name: bytes) -> None:
        first_round, self.first_round = self.first_round, -1
        try:
            honest(self, slot, name)
        finally:
            self.first_round = first_round

    monkeypatch.setattr(SimSigner, "_vote", vote)


def votes_after_a_failure_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signer that goes on after a write has failed, without reading its records again."""
    honest = SimSigner._vote

    def vote(self: SimSigner, slot: Slot, name: bytes) -> None:
        try:
            honest(self, slot, name)
        finally:
            self._usable = True

    monkeypatch.setattr(SimSigner, "_vote", vote)


@pytest.mark.parametrize(
    "switch_off", [second_digest_allowed, early_votes_allowed], ids=lambda rule: rule.__name__
)
def test_rule_that_nobody_leans_on_alone__changes_nothing(
    monkeypatch: pytest.MonkeyPatch, switch_off: Callable[[pytest.MonkeyPatch], None]
) -> None:
    """Not a single event: no machine asks for a second statement, no role for an early one. What the rules
    forbid is tested on the signer itself."""
    healthy = [simulate(draw_scenario(seed, CRASHES)).trace_hash for seed in range(5)]
    switch_off(monkeypatch)
    assert [simulate(draw_scenario(seed, CRASHES)).trace_hash for seed in range(5)] == healthy


def test_signer_that_goes_on_after_a_failed_write__harms_nobody_where_the_disk_lost_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It signs what it would have waited with, nothing twice: the simulated disk can be read at once after
    it has failed. What a disk that lies would do is tested on the signer itself."""
    votes_after_a_failure_allowed(monkeypatch)
    assert not any(simulate(draw_scenario(seed, CRASHES)).violation for seed in range(5))
