"""A dealer that colludes with its own encoder: what it can tell it early, and what that is worth in a record.

That a dealer cannot choose items, masks or keys is in test_protocol_audit.py, that a commit counts only for
the lock it answers in test_protocol_rounds_behaviour.py and the transition tables.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.batch import WAVES
from protocol.bending import ProbeSigns
from protocol.epochs.transition import Sighting, _reputation
from protocol.epochs.view import PPM
from protocol.messages import Commit
from protocol.rounds import events as ev
from protocol.sealing import SealError, unseal, wave_key
from tests.support.documents import read
from tests.support.honest_round import honest_round

ROUND = honest_round()
HALF_LIFE_EPOCHS = 8
"""Of the preset `testnet`."""
HONEST_PPM, TOLD_PPM = 500_000, PPM
"""What the friend is worth, and the most that any dealer can give it."""
VALIDATORS = 30


# -- before a wave is open ---------------------------------------------------------------------------------


def ciphertexts() -> list[bytes]:
    """Of the three waves, as every encoder has them when the first is open."""
    blobs = {
        event.digest: event.data
        for events in ROUND.told.values()
        for event in events
        if isinstance(event, ev.Fetched)
    }
    return [blobs[wave.digest] for wave in ROUND.challenge.body.waves]


def public_before(wave: int) -> set[bytes]:
    """Every value of 32 bytes that was said before a wave's key: challenge, locks, commits, keys, names."""
    locks = ROUND.locks[: max(0, wave - 2)]
    commits = [one for one in ROUND.of(Commit) if one.body.wave < wave]
    said = [ROUND.challenge, *locks, *commits]
    body = ROUND.challenge.body
    values = {
        ROUND.genesis.network_id,
        body.secret_commitment,
        body.wave_key,
        *(one.digest for one in body.waves),
    }
    values |= {
        value for one in said for value in (one.digest, one.signer, one.signature[:32], one.signature[32:])
    }
    values |= {value for one in commits for value in (one.body.lock, one.body.commitment)}
    return values | {lock.body.next_wave_key for lock in locks} | set(ROUND.genesis.validators)


@pytest.mark.parametrize("wave", WAVES)
def test_wave__opens_with_its_own_key_and_with_nothing_that_was_said_before(wave: int) -> None:
    keys = [ROUND.challenge.body.wave_key, *(lock.body.next_wave_key for lock in ROUND.locks[:2])]
    sealed = ciphertexts()[wave - 1]
    assert unseal(keys[wave - 1], sealed)
    tried = {key for number, key in enumerate(keys, 1) if number != wave}
    if wave > 1:
        known = public_before(wave)
        assert keys[wave - 1] not in known
        tried |= known | {wave_key(value, wave) for value in known}
    for key in tried - {keys[wave - 1]}:
        with pytest.raises(SealError):
            unseal(key, sealed)


# -- in the record -----------------------------------------------------------------------------------------


def seen(dealer: int, score_ppm: int) -> Sighting:
    return Sighting(bytes([dealer]) * 32, True, score_ppm, 0, ProbeSigns(0, 0, 0))


scores = st.lists(st.integers(0, PPM), min_size=1, max_size=5)


@given(
    before_ppm=st.integers(0, PPM),
    honest=st.lists(scores, min_size=2, max_size=9),
    bought=st.lists(scores, max_size=4),
    order=st.randoms(use_true_random=False),
)
def test_minority_of_dealers__moves_a_reputation_no_further_than_the_others_have_it(
    before_ppm: int, honest: list[list[int]], bought: list[list[int]], order: Random
) -> None:
    bought = bought[: (len(honest) - 1) // 2]  # of three dealers one, of nine three
    told = [seen(dealer, one) for dealer, given_ in enumerate([*honest, *bought]) for one in given_]
    order.shuffle(told)
    after = _reputation(before_ppm, told, HALF_LIFE_EPOCHS)
    means = [sum(given_) // len(given_) for given_ in honest]
    alone = [_reputation(before_ppm, [seen(0, mean)], HALF_LIFE_EPOCHS) for mean in (min(means), max(means))]
    assert alone[0] <= after <= alone[1]


def friend_after(share_percent: int, rounds_seen: int, epochs: int = 3_000) -> float:
    """The mean reputation of an encoder whose friends deal so much, judged so often an epoch; 0.5 without."""
    draw = Random(f"{share_percent} {rounds_seen}")
    friends = VALIDATORS * share_percent // 100
    reputation_ppm, total = HONEST_PPM, 0
    for _ in range(epochs):
        dealers = [draw.randrange(VALIDATORS) for _ in range(rounds_seen)]
        told = [seen(one, TOLD_PPM if one < friends else HONEST_PPM) for one in dealers]
        reputation_ppm = _reputation(reputation_ppm, told, HALF_LIFE_EPOCHS)
        total += reputation_ppm
    return total / epochs / PPM


def mean_score(share_percent: int) -> float:
    """What it would have by the plain mean of its scores, as its weight goes."""
    share = VALIDATORS * share_percent // 100 / VALIDATORS
    return (HONEST_PPM + share * (TOLD_PPM - HONEST_PPM)) / PPM


def figures() -> Iterable[tuple[int, list[str]]]:
    for share_percent in (10, 20, 33):
        row = [friend_after(share_percent, rounds_seen) for rounds_seen in (1, 2, 4, 8, 16)]
        yield share_percent, [f".{round(100 * one)}" for one in (*row, mean_score(share_percent))]


def test_figures_of_the_threat_model__are_what_the_rule_gives() -> None:
    page = read("docs/threat-model.md")
    for share_percent, row in figures():
        assert f"| {share_percent} % | {' | '.join(row)} |" in page
