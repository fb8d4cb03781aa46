"""What the round machines do and do not, one behaviour at a time."""

from __future__ import annotations

import pytest

from protocol.audit import reveal_commitment
from protocol.commitments import ANSWER_BYTES
from protocol.hashing import digest
from protocol.messages import (
    Attestation,
    Certificate,
    Commit,
    Evidence,
    Lock,
    Report,
)
from protocol.rounds import (
    AttesterMachine,
    DealerMachine,
    DealerPhase,
)
from protocol.rounds import effects as fx
from protocol.rounds import events as ev
from protocol.statement import Statement
from tests.support.driven import (
    AGREED,
    ALICE,
    AT,
    BLOBS,
    BOB,
    BODY,
    CAROL,
    DAVE,
    ENCODED,
    GENESIS,
    HEADER,
    LOCKS,
    ROUND,
    SCORED,
    TO_COMMITTED,
    TO_RECOMPUTING,
    TO_REVEALS,
    TO_SCORING,
    all_answers,
    attester,
    changed,
    commits,
    dealer,
    encoder,
    of,
    reveals,
    votes,
)
from tests.support.epochs import check_evidence


def test_dealer__persists_what_it_releases_before_anyone_can_read_it() -> None:
    effects = dealer().tell(ROUND.deal, hears_itself=False)
    kinds = [type(effect).__name__ for effect in effects]
    assert kinds == ["Persist", "Provide", "Provide", "Provide", "Broadcast", "SetTimer", "Publish"]
    (released,) = of(effects, fx.Persist)
    assert isinstance(released.fact, fx.ReleasedItems)


def test_dealer__persists_and_provides_the_report_before_it_leaves() -> None:
    driven = dealer()
    driven.tell(*TO_SCORING)
    effects = driven.tell(SCORED)
    kinds = [type(effect).__name__ for effect in effects]
    assert kinds == ["Provide", "Persist", "Broadcast", "Publish"]
    assert driven.bodies(Report) == [ROUND.header.body]


def test_dealer_that_did_not_hear_itself__voids_its_round_and_does_not_fall() -> None:
    """An inbox that overflows drops events, one's own statements among them."""
    driven = dealer()
    driven.tell(*TO_SCORING, hears_itself=False)
    effects = driven.tell(SCORED)
    assert isinstance(driven.machine, DealerMachine)
    assert driven.machine.phase is DealerPhase.VOID
    assert not of(effects, fx.Broadcast)


def test_commit_of_an_encoder_that_is_gone__still_counts_through_its_witnesses() -> None:
    driven = dealer()
    driven.tell(ROUND.deal, ev.PeerGone(CAROL), *commits(1))
    (lock,) = driven.bodies(Lock)
    assert CAROL in {ref.encoder for ref in lock.commits}


def test_encoder_that_missed_a_wave__is_not_awaited_nor_counted_again() -> None:
    driven = dealer()
    driven.tell(ROUND.deal, *commits(1, CAROL), ev.TimerFired("wave-1"))
    (lock,) = driven.bodies(Lock)
    name = driven.said[-1].digest
    late = driven.tell(ev.Received(ROUND.commit(CAROL, 1)), ev.Received(ROUND.commit(CAROL, 1)))
    assert [step.answered for step in of(late, fx.Publish) if step.step is fx.Step.LATE] == [(CAROL,)]
    others = [
        ROUND.sign(key, changed(ROUND.commit(key, 2).body, lock=name)) for key in (CAROL, *ROUND.shard[1:])
    ]
    driven.tell(*map(ev.Received, others))
    assert [ref.encoder for ref in driven.bodies(Lock)[1].commits] == [ref.encoder for ref in lock.commits]


def test_false_reveal__is_evidence_once_and_the_round_goes_on() -> None:
    driven = dealer()
    driven.tell(*TO_REVEALS)
    salts = ROUND.reveal(CAROL).body.salts
    lie = ev.Received(ROUND.sign(CAROL, changed(ROUND.reveal(CAROL).body, salts=(*salts[:2], bytes(32)))))
    effects = driven.tell(lie, lie, ev.Received(ROUND.reveal(CAROL)))
    (evidence,) = driven.bodies(Evidence)
    assert check_evidence(GENESIS, evidence) == CAROL
    assert [penalty.public_key for penalty in of(effects, fx.Penalise)] == [CAROL]
    driven.tell(*reveals(CAROL), *all_answers(CAROL))
    (score,) = of(driven.effects, fx.Score)
    assert score.task.answers[score.task.encoders.index(CAROL)] is None


def test_attester__asks_every_owner_of_the_same_answers_before_the_dealer() -> None:
    driven = attester()
    fetches = of(driven.tell(HEADER, BODY), fx.Fetch)
    assert {fetch.purpose for fetch in fetches} == {fx.Purpose.REPORT, fx.Purpose.REVEAL}
    for fetch in fetches[1:]:
        *owners, last = fetch.sources
        assert last == ALICE
        assert owners == [key for key in ROUND.shard if fetch.digest in ROUND.reveal(key).body.answers]
        assert fetch.size_bytes == len(BLOBS[fetch.digest])
    assert len(fetches) == 1 + 3 * len(ROUND.shard)


@pytest.mark.parametrize("key", [ALICE, BOB], ids=["dealer", "other"])
def test_quorum__certifies_once_and_is_written_down_before_it_is_announced(key: bytes) -> None:
    driven = attester(key)
    driven.tell(HEADER, BODY)  # the dealer votes for its own report right away
    own = ev.Received(ROUND.sign(key, Attestation(AT, ROUND.header.digest)))
    others = [vote for vote in votes() if vote != own]
    before = driven.tell(*others[:1])
    assert not of(before, fx.Persist)
    effects = driven.tell(*votes())
    kept = [effect for effect in effects if isinstance(effect, fx.Persist)]
    (fact,) = [effect.fact for effect in kept]
    assert isinstance(fact, fx.RoundCertified)
    assert len(fact.items) == ROUND.header.body.items
    if key == ALICE:
        assert [type(e).__name__ for e in effects][:3] == ["Persist", "Publish", "Broadcast"]
        assert len(driven.bodies(Certificate)) == 1
    else:
        assert not driven.bodies(Certificate)
        (timer,) = [e for e in of(effects, fx.SetTimer) if e.timer == "announce"]
        driven.tell(ev.TimerFired("announce"), ev.TimerFired("announce"), now_ms=timer.at_ms)
        assert len(driven.bodies(Certificate)) == 1


def test_certificate__is_announced_by_nobody_who_is_not_heard() -> None:
    # A stranger that waits for stake follows the rounds; what it said would be held against it.
    driven = attester(digest("waits for stake"))
    driven.tell(HEADER, BODY)
    (timer,) = [e for e in of(driven.tell(*votes()), fx.SetTimer) if e.timer == "announce"]
    assert driven.tell(ev.TimerFired("announce"), now_ms=timer.at_ms) == []
    assert not driven.bodies(Certificate)


def test_two_votes_of_one_key__count_once() -> None:
    driven = attester()
    driven.tell(HEADER)
    twice = [ev.Received(ROUND.sign(BOB, Attestation(AT, ROUND.header.digest)))] * 5
    other = [ev.Received(ROUND.sign(ALICE, Attestation(AT, bytes(32)))) for _ in range(3)]
    driven.tell(*twice, *other, ev.Received(ROUND.sign(ALICE, Attestation(AT, ROUND.header.digest))))
    assert isinstance(driven.machine, AttesterMachine)
    assert driven.machine.certificate is None


def test_votes_split_between_two_reports__are_no_quorum_together() -> None:
    driven = attester()
    first, second, third = sorted(GENESIS.validators)[:3]
    names = {first: ROUND.header.digest, second: ROUND.header.digest, third: bytes(32)}
    driven.tell(*(ev.Received(ROUND.sign(key, Attestation(AT, name))) for key, name in names.items()))
    assert isinstance(driven.machine, AttesterMachine)
    assert 3 * sum(GENESIS.validators[key].stake for key in names) >= 2 * GENESIS.total_stake
    assert driven.machine.certificate is None


def test_certificate_of_a_report_that_is_not_the_one_held__is_not_recorded_with_it() -> None:
    """A dealer may have signed two."""
    driven = attester()
    other = ROUND.report(ROUND.body, items=8)[0]
    effects = driven.tell(ev.Received(other), ev.Fetched(other.body.body, BODY.data), *votes())
    assert isinstance(driven.machine, AttesterMachine)
    assert driven.machine.certificate is not None
    assert not of(effects, fx.Persist)


class Attack:
    """A dealer that goes through the waves with one encoder's commits and reveal replaced.

    The locks change with the commits: everybody else follows them.
    """

    def __init__(self, key: bytes, names: tuple[bytes, bytes, bytes]) -> None:
        self.key, self.names = key, names
        self.driven = dealer()
        self.driven.tell(ROUND.deal)
        for wave in (1, 2, 3):
            previous = self.driven.said[-1].digest
            self.driven.tell(*(ev.Received(self._commit(key, wave, previous)) for key in ROUND.shard))
        self.lock = self.driven.said[-1].digest

    def _answers(self, key: bytes) -> tuple[bytes, bytes, bytes]:
        return self.names if key == self.key else ROUND.reveal(key).body.answers

    def _commit(self, key: bytes, wave: int, previous: bytes) -> Statement[Commit]:
        draft = changed(ROUND.commit(key, wave).body, lock=previous)
        salt = ROUND.reveal(key).body.salts[wave - 1]
        opened = reveal_commitment(GENESIS.network_id, key, draft, salt, self._answers(key)[wave - 1])
        return ROUND.sign(key, changed(draft, commitment=opened))

    def reveal(self, key: bytes) -> list[fx.Effect]:
        body = changed(ROUND.reveal(key).body, lock=self.lock, answers=self._answers(key))
        return self.driven.tell(ev.Received(ROUND.sign(key, body)))

    @property
    def phase(self) -> DealerPhase:
        assert isinstance(self.driven.machine, DealerMachine)
        return self.driven.machine.phase

    def revealed(self) -> set[bytes]:
        (score,) = of(self.driven.effects, fx.Score)
        return {
            key
            for key, names in zip(score.task.encoders, score.task.answers, strict=True)
            if names is not None
        }


def test_blob_named_for_waves_of_two_sizes__costs_its_encoder_the_round_and_nobody_else() -> None:
    first = ROUND.reveal(CAROL).body.answers[0]
    attack = Attack(CAROL, (first, first, first))
    for key in ROUND.shard:
        attack.reveal(key)
    attack.driven.tell(*all_answers())
    assert attack.phase is DealerPhase.SCORING
    assert attack.revealed() == set(ROUND.shard) - {CAROL}


@pytest.mark.parametrize("carol_first", [True, False])
def test_blob_of_another_named_for_a_wave_of_another_size__costs_only_who_named_it(carol_first: bool) -> None:
    """Carol runs Dave's public model and knows the digest of his first answers before he shows it."""
    own, stolen = ROUND.reveal(CAROL).body.answers, ROUND.reveal(DAVE).body.answers[0]
    attack = Attack(CAROL, (own[0], own[1], stolen))
    for key in ROUND.shard:
        attack.reveal(key)
    refused = ev.Unavailable(stolen, (CAROL,))
    events = [refused, *all_answers()] if carol_first else [*all_answers(), refused]
    attack.driven.tell(*events)
    assert attack.phase is DealerPhase.SCORING
    assert attack.revealed() == set(ROUND.shard) - {CAROL}
    (score,) = of(attack.driven.effects, fx.Score)
    for names in score.task.answers:
        for name, views in zip(names or (), score.task.batch.waves, strict=False):
            assert len(BLOBS[name]) == len(views) * ANSWER_BYTES


def test_same_answers_of_two_encoders__count_for_both_though_one_does_not_serve_them() -> None:
    same = ROUND.reveal(DAVE).body.answers
    attack = Attack(CAROL, same)
    for key in ROUND.shard:
        attack.reveal(key)
    attack.driven.tell(*all_answers(CAROL), ev.Unavailable(same[0], (CAROL,)))
    assert attack.revealed() == set(ROUND.shard)
    missing = Attack(CAROL, same)
    for key in ROUND.shard:
        missing.reveal(key)
    missing.driven.tell(ev.Unavailable(same[0], (CAROL,)), *all_answers(CAROL))
    assert missing.revealed() == set(ROUND.shard) - {CAROL}


def test_commit_that_answers_another_lock__does_not_count() -> None:
    """Nor does it keep the right one out."""
    driven = dealer()
    driven.tell(ROUND.deal, *commits(1))
    stale = [ROUND.sign(key, changed(ROUND.commit(key, 2).body, lock=bytes(32))) for key in ROUND.shard]
    assert not driven.tell(*map(ev.Received, stale))
    driven.tell(*commits(2))
    assert driven.bodies(Lock)[1] == ROUND.locks[1].body


def test_lock_that_follows_another_history__does_not_move_an_encoder() -> None:
    driven = encoder()
    driven.tell(*TO_COMMITTED)
    other = ROUND.sign(ALICE, changed(ROUND.locks[0].body, previous=bytes(32)))
    assert not driven.tell(ev.Received(other))
    driven.tell(LOCKS[0], ENCODED[1])
    assert [commit.lock for commit in driven.bodies(Commit)] == [
        ROUND.challenge.digest,
        ROUND.locks[0].digest,
    ]


def test_second_report_of_a_dealer__does_not_take_the_vote_of_the_first() -> None:
    """An attester signs what it has audited, not what came last."""
    driven = attester()
    other = ROUND.report(ROUND.body, items=9)[0]
    driven.tell(*TO_RECOMPUTING[:3], ev.Received(other), *TO_RECOMPUTING[3:], ev.Received(other), AGREED)
    assert driven.bodies(Attestation) == [Attestation(AT, ROUND.header.digest)]
