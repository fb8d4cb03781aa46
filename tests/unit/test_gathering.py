"""What an encoder gathers from certified rounds, how much of it, and how its model is refitted to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
import structlog
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from node.encoders.encoder import EncoderError
from node.model_process.wire import Fitted, Refit, RefitProgress
from node.pairs import Pair, Pairs
from node.roles import refitting
from node.roles.gathering import PAIRS_PER_EPOCH, is_drawn, pairs_of
from node.roles.refitting import Refitting
from node.roles.reports import CertifiedReport
from protocol.audit import AuditError
from protocol.codec import encode
from protocol.epochs.view import Epoch
from protocol.hashing import content_digest, digest
from protocol.messages import Report
from protocol.report import DIMENSIONS, VECTOR_BYTES
from protocol.schedule import shard_round
from protocol.statement import expect
from tests.support.certified_round import certified_round
from tests.support.genesis import small_network

# -- which rounds ------------------------------------------------------------------------------------------


@given(
    rounds=st.integers(6, 120),
    shards=st.integers(1, 2),
    items=st.sampled_from([64, 128, 256]),
    seed=st.binary(min_size=4, max_size=4),
)
@settings(max_examples=12, deadline=None)
def test_rounds__are_drawn_so_that_an_epoch_brings_about_as_many_pairs_as_are_wanted(
    rounds: int, shards: int, items: int, seed: bytes
) -> None:
    genesis, _, _ = small_network(4, 4, items=64)
    changed = msgspec.structs.replace(
        genesis.parameters, epoch_rounds=rounds, shards_per_round=shards, scored_items=items
    )
    epoch = _Parameters(changed)
    encoders = [digest("encoder", seed, bytes([number])) for number in range(40)]
    drawn = [
        sum(
            is_drawn(epoch, msgspec.structs.replace(shard_round(genesis, round_, 0), shard=shard), encoder)  # type: ignore[arg-type]
            for round_ in range(rounds)
            for shard in range(shards)
        )
        for encoder in encoders
    ]
    every = rounds * shards * items
    if every <= PAIRS_PER_EPOCH:
        assert set(drawn) == {rounds * shards}  # short epochs: everything there is
        return
    mean = np.mean(drawn) * items
    # Rounds are drawn one by one: the mean over 40 encoders lies within 6 standard errors.
    error = 6 * np.sqrt(PAIRS_PER_EPOCH * items / 40)
    assert abs(mean - PAIRS_PER_EPOCH) < error
    if every > 4 * PAIRS_PER_EPOCH:
        assert len(set(drawn)) > 1  # not the same ones for all, so validators serve at all times


class _Parameters:
    """What is_drawn asks of an epoch."""

    def __init__(self, parameters: object) -> None:
        self.parameters = parameters


# -- what a report must be ---------------------------------------------------------------------------------


def test_pairs__are_the_items_with_the_vectors_the_header_binds() -> None:
    round_ = certified_round()
    pairs = pairs_of(Epoch.first(round_.genesis), CertifiedReport(round_.header, encode(round_.body)))
    assert [pair.item for pair in pairs] == list(round_.task.batch.items)
    assert b"".join(pair.vector for pair in pairs) == round_.body.scores.consensus
    assert {(pair.round, pair.epoch, pair.centred) for pair in pairs} == {(0, 0, False)}


def test_pairs__are_none_of_a_report_whose_vectors_are_not_those_the_header_binds() -> None:
    round_ = certified_round()
    consensus = bytearray(round_.body.scores.consensus)
    consensus[VECTOR_BYTES + 2] ^= 1
    scores = msgspec.structs.replace(round_.body.scores, consensus=bytes(consensus))
    body = encode(msgspec.structs.replace(round_.body, scores=scores))
    epoch = Epoch.first(round_.genesis)
    with pytest.raises(AuditError, match="body"):
        pairs_of(epoch, CertifiedReport(round_.header, body))
    # Even where the dealer and all validators sign the changed body.
    lie = expect(round_.certify(body).header, round_.genesis.network_id, Report)
    assert lie.body.body == content_digest(body)
    with pytest.raises(AuditError, match="consensus"):
        pairs_of(epoch, CertifiedReport(lie, body))


# -- refitting ---------------------------------------------------------------------------------------------


@pytest.fixture
def pairs(tmp_path: Path) -> Pairs:
    return Pairs.open(tmp_path)


def _fill(pairs: Pairs, count: int) -> None:
    vector = np.ones(DIMENSIONS, "<f4").tobytes()
    pairs.add([Pair(b"item %d" % number, vector, 1, 0, True) for number in range(count)])


async def _events(refit: Refitting, epochs: int = 1) -> list[dict[str, object]]:
    """What is logged while so many epochs begin."""
    with structlog.testing.capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(refit.run)
            for epoch in range(1, epochs + 1):
                refit.begin(epoch)
                with trio.fail_after(20):
                    while len(logs) < epoch:  # noqa: ASYNC110
                        await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
    return [dict(entry) for entry in logs]


def _steps(needed: int, asked: list[Refit]) -> Callable[[Refit], RefitProgress]:
    def step(one: Refit) -> RefitProgress:
        asked.append(one)
        done = sum(not earlier.begins for earlier in asked)
        fitted = Fitted(0.5, 0.6, True, 1_200) if done >= needed else None
        return RefitProgress(min(done, needed), needed, fitted)

    return step


@pytest.mark.anyio
async def test_refit__is_asked_for_in_steps_once_there_are_pairs_enough(tmp_path: Path, pairs: Pairs) -> None:
    asked: list[Refit] = []
    refit = Refitting(tmp_path, pairs, _steps(3, asked), epoch_s=60.0)
    (waits,) = await _events(refit)
    assert waits["event"] == "model.not_aligned"
    assert "0 of 1000" in str(waits["reason"])
    assert not asked
    _fill(pairs, 1_000)
    (done,) = await _events(refit)
    assert done["event"] == "model.aligned"
    assert (done["taken"], done["agreement_before"], done["agreement_after"]) == (True, 0.5, 0.6)
    assert [one.begins for one in asked] == [True, False, False, False]
    assert not any(one.is_last for one in asked)
    pairs.close()


@pytest.mark.anyio
async def test_refit__that_takes_too_long_ends_and_the_next_epoch_tries_again(
    tmp_path: Path, pairs: Pairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refitting, "PAUSE_S", 0.01)
    _fill(pairs, 1_000)
    asked: list[Refit] = []
    slow = Refitting(tmp_path, pairs, _steps(1_000_000, asked), epoch_s=0.2)
    found = await _events(slow, epochs=2)
    assert [one["event"] for one in found] == ["model.not_aligned"] * 2
    assert "items were embedded in" in str(found[0]["reason"])
    assert sum(one.begins for one in asked) == 2

    def refused(_: Refit) -> RefitProgress:
        raise EncoderError("it lies in the shared space by itself")

    (entry,) = await _events(Refitting(tmp_path, pairs, refused, epoch_s=1.0))
    assert (entry["event"], entry["log_level"]) == ("model.not_aligned", "info")
    pairs.close()
