"""What a validator that does not deal makes of what the dealer gossips."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from node.roles.watching import ROUNDS_MAX, Watching
from protocol.messages import Body, Challenge
from protocol.rounds import effects as fx
from protocol.schedule import ShardRound, shard_round
from protocol.statement import Statement
from tests.support.epochs import dealer_of, epochs_of
from tests.support.genesis import small_network
from tests.support.honest_round import answers_of, plain_comparison, plain_scores
from tests.support.memory_network import MemoryNetwork

GENESIS, VALIDATORS, ENCODERS = small_network(4, 4, items=8, chain_length=64)
AT = shard_round(GENESIS, 0, 0)


def round_played() -> MemoryNetwork:
    """A network that has played round 0."""
    net = MemoryNetwork(
        GENESIS,
        [*VALIDATORS, *ENCODERS],
        {person.key: answers_of(person.key) for person in ENCODERS},
        plain_scores,
        plain_comparison,
    )
    net.run(AT)
    return net


NET = round_played()
DEALER = NET.nodes[dealer_of(GENESIS, AT)]
OTHER = next(NET.nodes[one.key] for one in VALIDATORS if one.key != DEALER.identity.key)


def heard() -> list[Statement[Body]]:
    """What another validator heard, in order."""
    return list(OTHER.seen.values())


def test_dealers_steps__are_read_off_its_statements_by_who_hears_them() -> None:
    watching = Watching(epochs_of(GENESIS))
    seen = [step for when, one in enumerate(heard()) if (step := watching.step(one, 1000 + when))]
    own = [step for step in DEALER.steps if step.step in (fx.Step.DEALT, fx.Step.LOCKED, fx.Step.REPORTED)]
    timeless = [replace(step, elapsed_ms=0) for step in seen]
    assert timeless == [replace(step, elapsed_ms=0) for step in own]
    assert [step.wave for step in seen] == [0, 1, 2, 3, 0]
    assert sum(step.elapsed_ms for step in seen) <= len(heard())


def test_lock_whose_challenge_was_not_heard__is_no_step() -> None:
    watching = Watching(epochs_of(GENESIS))
    unannounced = [one for one in heard() if not isinstance(one.body, Challenge)]
    assert [watching.step(one, 0) for one in unannounced] == [None] * len(unannounced)


def test_rounds_followed__are_bounded() -> None:
    watching = Watching(epochs_of(GENESIS))
    (challenge,) = [one for one in heard() if isinstance(one.body, Challenge)]
    rounds = range(GENESIS.parameters.epoch_rounds)
    shards = range(1 + ROUNDS_MAX // len(rounds))
    for at in (ShardRound(challenge.body.at.epoch, round_, shard) for round_ in rounds for shard in shards):
        body = msgspec.structs.replace(challenge.body, at=at)
        watching.step(replace(challenge, body=body), 0)
    assert len(rounds) * len(shards) > ROUNDS_MAX
    assert len(watching._seen) == ROUNDS_MAX
