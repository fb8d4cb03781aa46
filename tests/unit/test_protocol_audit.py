"""The audit: an honest report passes, and a dealer that lies about one thing and signs it is caught at it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from protocol import audit
from protocol import statement as statement_module
from protocol.audit import AuditError
from protocol.codec import encode
from protocol.commitments import ANSWER_BYTES
from protocol.hashing import digest
from protocol.items import canonical_text
from protocol.report import VECTOR_BYTES, PoolItem, Term
from protocol.schedule import ShardRound, shard_round
from protocol.statement import Statement
from tests.support.epochs import audit_report
from tests.support.honest_round import SERVED, HonestRound, honest_round
from tests.support.replayed_round import (
    AT,
    BODY,
    CAROL,
    DEALER,
    HONEST,
    Lie,
    answers_named,
    changed,
    replayed,
)


def told(**changes: object) -> Lie:
    """The dealer's report with another body."""
    return HONEST.report(changed(BODY, **changes))


def scores(**changes: object) -> Lie:
    return told(scores=changed(BODY.scores, **changes))


def header(**changes: object) -> Lie:
    """The honest body under another header."""
    return HONEST.sign(DEALER, changed(HONEST.header.body, **changes)), encode(BODY)


def verdict(lie: Lie, honest: HonestRound = HONEST) -> AuditError:
    with pytest.raises(AuditError) as caught:
        audit_report(honest.genesis, *lie)
    assert str(caught.value) == f"{caught.value.term}: {caught.value.detail}"
    return caught.value


def other_item() -> PoolItem:
    return changed(BODY.scored[0], data=canonical_text("eight other words that are not in the pool"))  # type: ignore[no-any-return]


def same_blob_for_every_wave(key: bytes, wave: int) -> bytes:
    return digest("test-answers", key)


def other_lock(wave: int, **changes: object) -> tuple[bytes, bytes, bytes]:
    first, second, third = (
        HONEST.sign(DEALER, changed(lock.body, **changes)).data if number == wave else lock.data
        for number, lock in enumerate(HONEST.locks, 1)
    )
    return first, second, third


ALL_COMMITS = BODY.commits
OTHER_AT = shard_round(HONEST.genesis, 2, 0)
BOB = HONEST.bystanders[0]
FALSE_REVEAL = HONEST.sign(
    CAROL, changed(HONEST.reveal(CAROL).body, salts=(bytes(32), *HONEST.reveal(CAROL).body.salts[1:]))
)


def reveals_with(other: Statement[Any]) -> tuple[bytes, ...]:
    return tuple(other.data if HONEST.reveal(other.signer).data == data else data for data in BODY.reveals)


LIES: dict[str, tuple[Callable[[], Lie], str, str]] = {
    "a round that is not": (lambda: header(at=ShardRound(1, 1, 0)), "round", "no such shard-round"),
    "a shard that is not": (lambda: header(at=ShardRound(0, 1, 7)), "round", "no such shard-round"),
    "a round past the chains": (lambda: header(at=shard_round(HONEST.genesis, 64, 0)), "round", "no such"),
    "another validator reports": (
        lambda: (HONEST.sign(BOB, HONEST.header.body), encode(BODY)), "dealer", "not by the validator drawn",
    ),
    "another body": (lambda: (HONEST.header, encode(BODY) + b"\0"), "body", "not the one the header names"),
    "another size": (lambda: header(body_bytes=1), "body", "not the one the header names"),
    "no body": (lambda: HONEST.report(b"\x90"), "body", "not a ReportBody"),
    "a body in a longer form": (
        lambda: HONEST.report(b"\xdc\x00\x07" + encode(BODY)[1:]), "body", "not canonically encoded",
    ),
    "no challenge": (lambda: told(challenge=b""), "challenge", "not a Envelope"),
    "a lock as challenge": (lambda: told(challenge=HONEST.locks[0].data), "challenge", "where challenge"),
    "an unsigned challenge": (
        lambda: told(challenge=HONEST.forged(DEALER, HONEST.challenge.body).data), "challenge", "signature",
    ),
    "a challenge the header does not name": (lambda: header(challenge=bytes(32)), "challenge", "not the"),
    "a challenge by another": (
        lambda: HONEST.report(
            changed(BODY, challenge=HONEST.sign(BOB, HONEST.challenge.body).data),
            challenge=HONEST.sign(BOB, HONEST.challenge.body).digest,
        ), "challenge", "not the challenge",
    ),
    "a challenge of another round": (
        lambda: replayed(change_challenge={"at": OTHER_AT}), "challenge", "of another shard-round",
    ),
    "a challenge in more haste": (
        lambda: replayed(change_challenge={"wave_deadline_ms": 1}), "challenge", "deadlines",
    ),
    "a challenge without end": (
        lambda: replayed(change_challenge={"reveal_deadline_ms": 2**50}), "challenge", "deadlines",
    ),
    "another preimage": (lambda: HONEST.report(BODY, preimage=bytes(32)), "preimage", "not the preimage"),
    "the preimage of another round": (
        lambda: HONEST.report(BODY, preimage=HONEST.people[DEALER].chain.preimage(1)),  # type: ignore[union-attr]
        "preimage", "not the preimage",
    ),
    "masks from a chosen secret": (
        lambda: replayed(secret=bytes(32), shown_secret=bytes(32)), "secret", "not the mask secret",
    ),
    "masks from another secret than committed": (
        lambda: replayed(secret=bytes(32)), "masks", "the views of wave 1",
    ),
    "fewer items": (lambda: told(scored=BODY.scored[1:]), "items", "not the ones the seed picks"),
    "no items": (lambda: told(scored=()), "items", "not the ones the seed picks"),
    "items in another order": (lambda: replayed(scored=BODY.scored[::-1]), "items", "the seed picks"),
    "an item twice": (lambda: told(scored=(BODY.scored[0], *BODY.scored)), "items", "the seed picks"),
    "an item of another block": (
        lambda: told(scored=(changed(BODY.scored[0], index=BODY.scored[0].index ^ 1), *BODY.scored[1:])),
        "items", "not the ones the seed picks",
    ),
    "an item that is not in the pool": (
        lambda: replayed(scored=(other_item(), *BODY.scored[1:])), "items", "not in the dealer's committed",
    ),
    "an item without proof": (
        lambda: replayed(scored=(changed(BODY.scored[0], proof=()), *BODY.scored[1:])), "items", "not in the",
    ),
    "a scored item served as well": (
        lambda: told(served=(*SERVED, BODY.scored[0].data)), "items", "an item appears twice",
    ),
    "a served item twice": (lambda: told(served=(*SERVED, SERVED[0])), "items", "an item appears twice"),
    "too many served items": (
        lambda: told(served=tuple(b"item %d" % n for n in range(17))), "items", "more than 16 served items",
    ),
    "served text that is not canonical": (lambda: told(served=(b"two  spaces",)), "items", "whitespace"),
    "a served item nobody was asked": (lambda: told(served=SERVED[:1]), "masks", "the views of wave 1"),
    "views of other items": (
        lambda: replayed(change_challenge={"waves": HONEST.challenge.body.waves[::-1]}), "masks", "wave 1",
    ),
    "a false count of views": (
        lambda: replayed(change_challenge={"waves": (
            *HONEST.challenge.body.waves[:2],
            changed(HONEST.challenge.body.waves[2], views=1),
        )}), "masks", "the views of wave 3",
    ),
    "a key that does not open wave 1": (
        lambda: replayed(change_challenge={"wave_key": bytes(32)}), "masks", "not that of wave 1",
    ),
    "a commit that is none": (lambda: told(commits=(b"\x90", *ALL_COMMITS[1:])), "commits", "not a Envelope"),
    "an unsigned commit": (
        lambda: told(
            commits=(HONEST.forged(HONEST.shard[0], HONEST.commit(HONEST.shard[0], 1).body).data,
                     *ALL_COMMITS[1:])
        ), "commits", "signature",
    ),
    "commits out of order": (lambda: told(commits=ALL_COMMITS[::-1]), "commits", "not in order or doubled"),
    "a commit twice": (
        lambda: told(commits=(ALL_COMMITS[0], *ALL_COMMITS[:-1])), "commits", "not in order or doubled",
    ),
    "more commits than encoders": (
        lambda: told(commits=ALL_COMMITS + ALL_COMMITS), "commits", "more than the shard",
    ),
    "commits of another round": (lambda: replayed(commit_at=OTHER_AT), "commits", "another shard-round"),
    "commits by a stranger": (
        lambda: replayed(encoders=(*HONEST.shard[1:], HONEST.stranger)), "commits", "a stranger to the shard",
    ),
    "a lock that is none": (lambda: told(locks=(b"", *BODY.locks[1:])), "locks", "not a Envelope"),
    "locks in another order": (lambda: told(locks=BODY.locks[::-1]), "locks", "does not follow"),
    "a lock by another": (
        lambda: told(locks=(HONEST.sign(BOB, HONEST.locks[0].body).data, *BODY.locks[1:])), "locks", "follow",
    ),
    "a lock of another round": (
        lambda: replayed(change_lock={2: {"at": OTHER_AT}}), "locks", "lock 2 does not follow",
    ),
    "a lock over another history": (
        lambda: replayed(change_lock={3: {"previous": bytes(32)}}), "locks", "lock 3 does not follow",
    ),
    "a wrong key in lock 1": (
        lambda: replayed(change_lock={1: {"next_wave_key": bytes(32)}}), "locks", "lock 1 brings a wrong key",
    ),
    "a key in lock 3": (
        lambda: replayed(change_lock={3: {"next_wave_key": bytes(32)}}), "locks", "lock 3 brings a wrong key",
    ),
    "a commit left out of the body": (lambda: told(commits=ALL_COMMITS[1:]), "locks", "lock 1 and the"),
    "a commit left out of the lock": (
        lambda: told(locks=other_lock(3, commits=HONEST.locks[2].body.commits[1:])), "locks", "lock 3 and",
    ),
    "commits to another challenge": (
        lambda: replayed(commit_lock={1: bytes(32)}), "locks", "a commit of wave 1 answers another lock",
    ),
    "commits to another lock": (
        lambda: replayed(commit_lock={3: bytes(32)}), "locks", "a commit of wave 3 answers another lock",
    ),
    "an encoder back after a missed wave": (
        lambda: replayed(absent={1: set(), 2: {CAROL}, 3: set()}), "locks", "that missed the wave before",
    ),
    "another last lock": (lambda: header(lock=bytes(32)), "locks", "names another last lock"),
    "a reveal that is none": (lambda: told(reveals=(b"\x90", *BODY.reveals[1:])), "reveals", "Envelope"),
    "a reveal of another lock": (
        lambda: told(reveals=reveals_with(
            HONEST.sign(CAROL, changed(HONEST.reveal(CAROL).body, lock=bytes(32)))
        )), "reveals", "answers another lock",
    ),
    "a reveal of another round": (
        lambda: told(reveals=reveals_with(
            HONEST.sign(CAROL, changed(HONEST.reveal(CAROL).body, at=OTHER_AT))
        )), "reveals", "answers another lock",
    ),
    "a reveal without a commit": (
        lambda: told(reveals=(*BODY.reveals[1:], HONEST.sign(BOB, HONEST.reveal(CAROL).body).data)),
        "reveals", "answers another lock",
    ),
    "a reveal that opens no commit": (
        lambda: told(reveals=reveals_with(FALSE_REVEAL)), "reveals", "contradicts the commit of wave 1",
    ),
    "reveals out of order": (lambda: told(reveals=BODY.reveals[::-1]), "reveals", "not in order or doubled"),
    "a reveal twice": (
        lambda: told(reveals=(BODY.reveals[0], *BODY.reveals[:-1])), "reveals", "not in order or doubled",
    ),
    "more reveals than commits": (
        lambda: told(reveals=BODY.reveals + BODY.reveals), "reveals", "more than encoders that committed",
    ),
    "too few reveals": (
        lambda: replayed(mute=set(HONEST.shard[:3])), "reveals", "fewer than 3 encoders revealed: void",
    ),
    "one blob for waves of two sizes": (
        lambda: replayed(answers=same_blob_for_every_wave), "reveals", "waves of two sizes",
    ),
    "a false count of items": (lambda: header(items=9), "items", "counts other items"),
    "no valid mask": (lambda: scores(valid=b""), "valid", "another shape"),
    "a valid mask of maybe": (lambda: scores(valid=b"\2" + BODY.scores.valid[1:]), "valid", "another shape"),
    "scores for a stranger": (lambda: scores(score=BODY.scores.score + bytes(8)), "score", "another shape"),
    "half a weight": (lambda: scores(weight=BODY.scores.weight[:-4]), "weight", "another shape"),
    "a term of another shape": (
        lambda: scores(terms=(Term("availability", b""),)), "availability", "another shape",
    ),
    "a term twice": (lambda: scores(terms=BODY.scores.terms * 2), "terms", "a term appears twice"),
    "a term named like the score": (
        lambda: scores(terms=(Term("score", BODY.scores.score),)), "terms", "a term appears twice",
    ),
    "no means": (lambda: scores(means=b""), "means", "another shape"),
    "too few vectors": (lambda: scores(consensus=bytes(VECTOR_BYTES)), "consensus", "another shape"),
    "vectors the header does not bind": (
        lambda: scores(consensus=b"\1" + BODY.scores.consensus[1:]), "consensus", "the header binds",
    ),
    "a root of other vectors": (lambda: header(consensus_root=bytes(32)), "consensus", "the header binds"),
}  # fmt: skip


@pytest.mark.parametrize(("lie", "term", "detail"), LIES.values(), ids=LIES.keys())
def test_lie__is_found_out_by_its_term(lie: Callable[[], Lie], term: str, detail: str) -> None:
    error = verdict(lie())
    assert error.term == term
    assert detail in error.detail


def test_every_term_of_the_audit__has_a_lie() -> None:
    terms = set()
    for node in ast.walk(ast.parse(inspect.getsource(audit))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "AuditError":
            (first, *_) = node.args
            terms.add(first.value if isinstance(first, ast.Constant) else "the name of a term")
    told_of = {term for _, term, _ in LIES.values()} | {"the name of a term"}
    assert terms <= told_of
    assert len(terms) > 12


def test_honest_report__passes_and_says_what_to_score() -> None:
    audited = audit_report(HONEST.genesis, HONEST.header, encode(BODY))
    assert audited.body == BODY
    assert audited.task.at == AT
    assert audited.task.encoders == HONEST.shard
    assert audited.task.answers == tuple(HONEST.reveal(key).body.answers for key in HONEST.shard)
    assert set(audited.batch.items) == {item.data for item in BODY.scored} | set(SERVED)
    assert sum(audited.batch.scored) == len(BODY.scored)


def test_replay_without_a_lie__passes() -> None:
    """Else the lies above could be found out for another reason."""
    audited = audit_report(HONEST.genesis, *replayed())
    assert audited.task.encoders == HONEST.shard
    assert None not in audited.task.answers


def test_encoders_that_miss_waves__have_no_answers_and_the_report_stands() -> None:
    first, second, *_ = HONEST.shard
    absent = {1: set(), 2: {first}, 3: {first}}
    audited = audit_report(HONEST.genesis, *replayed(absent=absent, mute={second}))
    assert [answers is None for answers in audited.task.answers] == [True, True, False, False, False]


def test_withheld_answers_called_valid__are_a_lie_about_their_encoder() -> None:
    silent = honest_round(silent=True)
    audited = audit_report(silent.genesis, silent.header, encode(silent.body))
    row = audited.task.answers.index(None)
    items = len(audited.batch.items)
    valid = bytearray(silent.body.scores.valid)
    assert not any(valid[row * items : (row + 1) * items])
    valid[row * items] = 1
    lie = changed(silent.body, scores=changed(silent.body.scores, valid=bytes(valid)))
    error = verdict(silent.report(lie), silent)
    assert (error.term, error.encoder) == ("valid", audited.task.encoders[row])


def test_lie_about_a_reveal__names_whose_it_is() -> None:
    assert verdict(told(reveals=reveals_with(FALSE_REVEAL))).encoder == CAROL


def test_copied_answers__are_no_reason_to_refuse_a_report() -> None:
    """Two encoders of the same model give the same bytes."""
    first, second, *_ = HONEST.shard

    def answer(key: bytes, wave: int) -> bytes:
        return answers_named(first if key == second else key, wave)

    audited = audit_report(HONEST.genesis, *replayed(answers=answer))
    assert audited.task.answers[0] == audited.task.answers[1]


def test_views_of_a_wave__have_one_size_of_answers() -> None:
    """What the attesters fetch by."""
    audited = audit_report(HONEST.genesis, HONEST.header, encode(BODY))
    sizes = [len(views) * ANSWER_BYTES for views in audited.batch.waves]
    assert sizes[0] == sizes[1] < sizes[2]


def test_report_with_thousands_of_commits__is_refused_without_verifying_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    verified = []
    honest_expect = statement_module.expect

    def expect(*args: Any) -> Any:
        verified.append(args)
        return honest_expect(*args)

    monkeypatch.setattr(audit, "expect", expect)
    error = verdict(told(commits=ALL_COMMITS * (3 * 1024 // len(ALL_COMMITS))))
    assert "more than the shard" in error.detail
    assert len(verified) == 1  # the challenge's
