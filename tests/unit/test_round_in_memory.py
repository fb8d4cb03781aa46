"""Whole rounds with the real machines and gossip rules, in virtual time."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest

from protocol.commitments import ANSWER_BYTES
from protocol.genesis import Genesis
from protocol.hashing import digest
from protocol.messages import Dispute, Evidence
from protocol.report import VECTOR_BYTES, Deviation, ScoredShard, ScoreTask, Term
from protocol.rounds import AttesterMachine, AttesterPhase
from protocol.rounds import effects as fx
from protocol.schedule import shard_round
from tests.support.epochs import check_certificate, dealer_of
from tests.support.genesis import small_network
from tests.support.memory_network import Blobs, Encode, Identity, MemoryNetwork


def answers_of(name: bytes) -> Encode:
    """Different answers for every text and encoder."""

    def encode(wave: int, texts: Sequence[str]) -> bytes:
        return b"".join(digest("answer", name, text.encode()) * (ANSWER_BYTES // 32) for text in texts)

    return encode


def count_score(task: ScoreTask, blobs: Blobs) -> ScoredShard:
    """A score any attester can recompute without tensors: one share for everyone who revealed."""
    revealed = [answers is not None and all(name in blobs for name in answers) for answers in task.answers]
    score = struct.pack(f"<{len(revealed)}d", *(1.0 if here else 0.0 for here in revealed))
    weight = struct.pack(f"<{len(revealed)}d", *((1.0 if here else 0.0) / sum(revealed) for here in revealed))
    items = len(task.batch.items)
    valid = b"".join((b"\x01" if here else b"\x00") * items for here in revealed)
    availability = Term("availability", score)
    vectors = (bytes(VECTOR_BYTES * count) for count in (items, len(revealed)))
    return ScoredShard(valid, score, weight, (availability,), *vectors)


def compare(task: ScoreTask, blobs: Blobs, claimed: ScoredShard) -> tuple[Deviation, ...]:
    ours = count_score(task, blobs)
    return (Deviation("score", b"", 0 if ours == claimed else 1_000_000),)


def network(
    changes: dict[str, object] | None = None, **options: object
) -> tuple[MemoryNetwork, Genesis, list[Identity], list[Identity]]:
    genesis, validators, encoders = small_network(**(changes or {}))  # type: ignore[arg-type]
    encode = {person.key: answers_of(person.key) for person in encoders}
    options.setdefault("scorer", count_score)
    options.setdefault("comparer", compare)
    net = MemoryNetwork(genesis, [*validators, *encoders], encode, **options)  # type: ignore[arg-type]
    return net, genesis, validators, encoders


def certified(net: MemoryNetwork, key: bytes) -> list[fx.RoundCertified]:
    return [fact for fact in net.nodes[key].facts if isinstance(fact, fx.RoundCertified)]


@pytest.mark.parametrize("seed", range(5))
def test_round__is_certified_by_everyone_when_all_are_honest(seed: int) -> None:
    net, genesis, validators, encoders = network(seed=seed)
    net.run(shard_round(genesis, 0, 0))
    for person in validators:
        (fact,) = certified(net, person.key)
        check_certificate(genesis, fact.certificate)
        assert len(fact.body.reveals) == len(encoders)
        assert len(fact.items) == 64
    assert all(not node.penalties for node in net.nodes.values())


def test_rounds__follow_each_other_with_fresh_items() -> None:
    net, genesis, validators, _ = network()
    for round_ in range(4):
        net.run(shard_round(genesis, round_, 0))
    facts = certified(net, validators[0].key)
    assert [fact.at.round for fact in facts] == [0, 1, 2, 3]
    items = [item for fact in facts for item in fact.items]
    assert len(set(items)) == len(items)


def test_silent_encoder__costs_one_deadline_and_nothing_more() -> None:
    net, genesis, validators, encoders = network()
    net.nodes[encoders[0].key].alive = False
    net.run(shard_round(genesis, 0, 0))
    (fact,) = certified(net, validators[0].key)
    assert len(fact.body.reveals) == len(encoders) - 1
    dealer = net.nodes[dealer_of(genesis, fact.at)]
    waits = [step.elapsed_ms for step in dealer.steps if step.step is fx.Step.LOCKED]
    assert waits[0] == genesis.parameters.wave_deadline_ms
    assert max(waits[1:]) < 1_000


def test_late_encoder__is_seen_to_answer_but_not_counted() -> None:
    genesis, _, encoders = small_network()
    slow = encoders[0].key
    net, genesis, validators, _ = network(encode_ms={slow: 6_000})
    net.run(shard_round(genesis, 0, 0))
    (fact,) = certified(net, validators[0].key)
    assert len(fact.body.reveals) == len(encoders) - 1
    steps = net.nodes[dealer_of(genesis, fact.at)].steps
    assert [step.answered for step in steps if step.step is fx.Step.LATE] == [(slow,)]


def test_silent_validator__leaves_a_quorum() -> None:
    net, genesis, validators, _ = network()
    at = shard_round(genesis, 0, 0)
    silent = next(person for person in validators if person.key != dealer_of(genesis, at))
    net.nodes[silent.key].alive = False
    net.run(at)
    (fact,) = certified(net, dealer_of(genesis, at))
    assert len(fact.certificate.attestations) == 3


def test_two_silent_validators_of_four__leave_the_round_void() -> None:
    net, genesis, validators, _ = network()
    at = shard_round(genesis, 0, 0)
    for person in [p for p in validators if p.key != dealer_of(genesis, at)][:2]:
        net.nodes[person.key].alive = False
    net.run(at)
    assert not certified(net, dealer_of(genesis, at))
    voids = [fact for fact in net.nodes[dealer_of(genesis, at)].facts if isinstance(fact, fx.RoundVoid)]
    assert [void.reason for void in voids] == ["not certified in time"]


def test_too_few_encoders__leave_the_round_void_before_anything_is_reported() -> None:
    net, genesis, _, encoders = network()
    for person in encoders[:4]:
        net.nodes[person.key].alive = False
    at = shard_round(genesis, 0, 0)
    net.run(at)
    facts = net.nodes[dealer_of(genesis, at)].facts
    assert any(isinstance(fact, fx.RoundVoid) and "only 2 encoders" in fact.reason for fact in facts)
    assert not any(isinstance(fact, fx.ReportMade) for fact in facts)


def test_dealer_that_lies_about_scores__is_disputed_and_not_certified() -> None:
    def flatter(task: ScoreTask, blobs: Blobs) -> ScoredShard:
        honest = count_score(task, blobs)
        lie = struct.pack(f"<{len(task.encoders)}d", 9.0, *([0.0] * (len(task.encoders) - 1)))
        return ScoredShard(honest.valid, lie, honest.weight, honest.terms, honest.consensus, honest.means)

    net, genesis, validators, _ = network(scorer=flatter)
    at = shard_round(genesis, 0, 0)
    net.run(at)
    for person in validators:
        assert not certified(net, person.key)
        if person.key != dealer_of(genesis, at):
            disputes = [s.body for s in net.nodes[person.key].said if isinstance(s.body, Dispute)]
            assert [dispute.term for dispute in disputes] == ["score"]


def test_false_reveal__is_evidence_and_the_round_goes_on() -> None:
    net, genesis, validators, encoders = network()
    liar = encoders[0].key
    at = shard_round(genesis, 0, 0)

    calls = {"count": 0}
    honest = net.encode[liar]

    def encode(wave: int, texts: Sequence[str]) -> bytes:
        calls["count"] += 1
        return honest(wave, texts)

    net.encode[liar] = encode
    original = net._carry_out

    def carry_out(node: object, effects: Sequence[fx.Effect]) -> None:
        changed: list[fx.Effect] = []
        for effect in effects:
            if isinstance(effect, fx.Send) and node is net.nodes[liar] and hasattr(effect.body, "salts"):
                body = effect.body
                other = type(body)(body.at, body.lock, (bytes(32), *body.salts[1:]), body.answers)
                effect = fx.Send(other, effect.to)
            changed.append(effect)
        original(node, changed)  # type: ignore[arg-type]

    net._carry_out = carry_out  # type: ignore[assignment]
    net.run(at)
    (fact,) = certified(net, validators[0].key)
    assert len(fact.body.reveals) == len(encoders) - 1
    said = [s.body for s in net.nodes[dealer_of(genesis, at)].said]
    assert any(isinstance(body, Evidence) for body in said)
    assert calls["count"] == 3
    assert net.nodes[dealer_of(genesis, at)].penalties[0][0] == liar


def test_same_seed__gives_the_same_history() -> None:
    histories = []
    for _ in range(2):
        net, genesis, validators, _ = network(seed=3)
        net.run(shard_round(genesis, 0, 0))
        histories.append([s.digest for p in validators for s in net.nodes[p.key].said])
    assert histories[0] == histories[1]


def test_attester__expires_without_a_report() -> None:
    net, genesis, validators, _ = network()
    at = shard_round(genesis, 0, 0)
    net.nodes[dealer_of(genesis, at)].alive = False
    net.run(at)
    other = next(p for p in validators if p.key != dealer_of(genesis, at))
    (machine,) = [m for m in net.nodes[other.key].machines if isinstance(m, AttesterMachine)]
    assert machine.phase is AttesterPhase.EXPIRED
